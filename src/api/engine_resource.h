// What an EngineResource is inside libtenon: the rules and engines behind it.
#pragma once

#include <memory>

#include "runtime/engine_cache.h"
#include "tenon/engine.h"

namespace tenon {

struct EngineResourceAccess {
  static const std::shared_ptr<runtime::EngineCache>& cache(const EngineResource& resource);
};

namespace api {

// The team of that many threads (0: the process's CPUs) that all engines outside sessions share.
std::shared_ptr<SharedTeam> process_team(int threads);

}  // namespace api
}  // namespace tenon
