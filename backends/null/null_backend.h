// A backend that refuses everything, with reasons: a test double, and the smallest example of a backend.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace tenon {

std::unique_ptr<Backend> make_null_backend();

}  // namespace tenon
