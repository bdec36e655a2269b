// Makes the backends that are part of libtenon. Implemented in api/, the only place that names them.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace tenon {

// The CPU backend.
std::unique_ptr<Backend> make_default_backend();

}  // namespace tenon
