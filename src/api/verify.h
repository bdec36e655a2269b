// Runs an original and its converted model on the same made-up inputs.
#pragma once

#include <string>
#include <vector>

#include "tenon/convert.h"

namespace tenon::api {

std::vector<OutputError> verify(const std::string& original, const std::string& converted, const ConvertOptions& options);

}  // namespace tenon::api
