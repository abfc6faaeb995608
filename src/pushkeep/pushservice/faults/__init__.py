"""Faults on purpose: what a push service or the network does on a bad day, by script and repeatable by seed."""

from pushkeep.pushservice.faults.control import FaultInfo, Faults
from pushkeep.pushservice.faults.grammar import Fault, Kind

__all__ = ["Fault", "FaultInfo", "Faults", "Kind"]
