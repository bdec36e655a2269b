// Runs an original and its converted model on the same made-up inputs.
#pragma once

#include <string>

#include "tenon/convert.h"

namespace tenon::api {

// Fills report.verification; signatures whose made-up inputs the original refuses are named in the notes. Throws what the
// converted model throws.
void verify(const std::string& original, const std::string& converted, const ConvertOptions& options, ConvertReport& report);

// Fills native_ms, converted_ms and engine_time_share for the first kept signature; a note says when the model cannot be timed.
void time_models(const std::string& original, const std::string& converted, const ConvertOptions& options, ConvertReport& report);

}  // namespace tenon::api
