// Switches that users set in the environment, read at each use.
#pragma once

namespace tenon::tf {

// TENON_BUILD_FOREIGN_ENGINES: nodes that TF-TRT itself converted get engines of Tenon. Off unless it is "1", "true", "yes"
// or "on".
bool build_foreign_engines();

}  // namespace tenon::tf
