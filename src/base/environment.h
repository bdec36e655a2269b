// Switches that users set in the environment.
#pragma once

#include <string>

namespace tenon {

// TensorFlow's words for yes and no: "1", "true", "0", "false", in any case. Anything else, or nothing, is `otherwise`. Read anew at each
// call.
bool environment_flag(const char* name, bool otherwise);
// Empty when it is not set.
std::string environment_text(const char* name);

}  // namespace tenon
