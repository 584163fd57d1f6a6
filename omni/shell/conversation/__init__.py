"""A conversation as one has it, without anything that draws: what was said, what is being answered, what waits to be asked.

model     what is shown and what can be done to it     view      what it tells whoever shows it
turns     the turns that run                           answer    what came so far of one answer
commands  what can be typed after `/`                  figures   how much of the context is used, and how fast it goes
"""
