#include "backend/builtin.h"
#include "backends/cpu/cpu_backend.h"

namespace tenon {

std::unique_ptr<Backend> make_default_backend() { return make_cpu_backend(); }

}  // namespace tenon
