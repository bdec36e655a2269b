// From a segment to a plan, and from a plan to an executable.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace tenon::cpu {

plan::Stamp device_stamp();
plan::Engine compile(const Segment& segment, const CompileOptions& options);
std::unique_ptr<Executable> load(const plan::Engine& engine, const DeviceOptions& options);

}  // namespace tenon::cpu
