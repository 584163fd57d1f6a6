"""What this machine is, and which brains fit into it."""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.hardware.bandwidth import measure_bandwidth
    from omni.hardware.budget import PLEASANT, BaseFacts, Budget, Fit, kv_bytes, memory_class, memory_needed
    from omni.hardware.machine import Cpu, Disk, Gpu, HardwareProfile, Memory, probe, profile
    from omni.hardware.memory import available_memory
    from omni.hardware.notes import Notes, remember_speed
    from omni.hardware.probes import Probes, Vram
    from omni.hardware.sampling import MachineSample, Sampler, process_memory

__getattr__, __dir__ = lazy(
    __name__,
    bandwidth="measure_bandwidth",
    budget="BaseFacts Budget Fit PLEASANT kv_bytes memory_class memory_needed",
    machine="Cpu Disk Gpu HardwareProfile Memory probe profile",
    memory="available_memory",
    notes="Notes remember_speed",
    probes="Probes Vram",
    sampling="MachineSample Sampler process_memory",
)
