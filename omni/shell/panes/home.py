"""Home."""
from textual.containers import Container
class HomePane(Container):
    """Home."""
    def __init__(self, services):
        super().__init__(); self.services = services
