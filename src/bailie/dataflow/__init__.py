"""Pipelines as pure decisions: a manifest becomes a plan, and a request a state machine that runs the plan.

::

    Pipeline ──compile_pipeline──► PipelinePlan ──Flow(plan)──► one request
                                                   ▲       │
                             events: request, step's answer│effects: call a step, answer, fail,
                             or failure, timer, time-out ──┘record, give data to other pipelines

A `Passage` stands in for the flow of a request that takes the usual course of its plan.

The gateways and consumers that run pipelines carry the effects out, so that all of them mean the same by a
manifest. Nothing here reads a clock or a socket, or looks into a tensor's data.
"""

from __future__ import annotations

from bailie.dataflow.compilation import Compiled, compile_pipeline, cycles_between
from bailie.dataflow.course import Course, Passage
from bailie.dataflow.course_room import CourseRoom
from bailie.dataflow.flow import Flow
from bailie.dataflow.followers import FollowerIndex, Followers
from bailie.dataflow.plan import PipelinePlan, Topic
from bailie.dataflow.tensors import Parcel, TensorHandle

__all__ = [
    "Compiled",
    "Course",
    "CourseRoom",
    "Flow",
    "FollowerIndex",
    "Followers",
    "Parcel",
    "Passage",
    "PipelinePlan",
    "TensorHandle",
    "Topic",
    "compile_pipeline",
    "cycles_between",
]
