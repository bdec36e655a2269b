// Errors that Tenon throws. Every message says who, what was wanted, what was found and what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace tenon {

enum class ErrorCode {
  kInvalidArgument,   // the caller passed something wrong (a feed's name, dtype or shape, an option)
  kInvalidModel,      // the model is malformed or inconsistent
  kNotFound,          // a file, signature, node, function or variable does not exist
  kUnsupported,       // an op, attribute or dtype that Tenon does not implement
  kIncompatiblePlan,  // an engine of another format version, device or build
  kIo,                // reading or writing a file failed
  kOutOfMemory,
  kCancelled,
  kAborted,   // native execution of a segment was refused by TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION
  kInternal,  // a defect of Tenon
};

// Stable lower-case name of a code, such as "invalid_model".
const char* error_code_name(ErrorCode code) noexcept;

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace tenon
