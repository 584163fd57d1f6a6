"""What this machine is, and which brains fit into it."""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.hardware._bandwidth import measure_bandwidth
    from omni.hardware._budget import PLEASANT, BaseFacts, Budget, Fit, kv_bytes, memory_class, memory_needed
    from omni.hardware._devices import ComputeDevice, DeviceKind, GpuUse, device_kind, usable_devices
    from omni.hardware._graphics_memory import GraphicsMemory, graphics_memory
    from omni.hardware._memory import available_memory
    from omni.hardware._notes import Notes, remember_speed
    from omni.hardware._offload import OffloadFacts, OffloadPlan, offload
    from omni.hardware._sampling import MachineSample, Sampler, device_files, process_memory
    from omni.hardware.machine import Cpu, Disk, Gpu, HardwareProfile, Memory, probe, profile
    from omni.hardware.probes import Probes, Vram

__getattr__, __dir__ = lazy(
    __name__,
    _bandwidth="measure_bandwidth",
    _budget="BaseFacts Budget Fit PLEASANT kv_bytes memory_class memory_needed",
    _devices="ComputeDevice DeviceKind GpuUse device_kind usable_devices",
    machine="Cpu Disk Gpu HardwareProfile Memory probe profile",
    _graphics_memory="GraphicsMemory graphics_memory",
    _memory="available_memory",
    _notes="Notes remember_speed",
    _offload="OffloadFacts OffloadPlan offload",
    probes="Probes Vram",
    _sampling="MachineSample Sampler device_files process_memory",
)
