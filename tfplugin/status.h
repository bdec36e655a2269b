// Tenon's errors as TensorFlow's. Exceptions never reach TensorFlow, which is compiled without them.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "tenon/error.h"

namespace tenon::tf {

inline absl::StatusCode status_code(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kInvalidModel:
      return absl::StatusCode::kInvalidArgument;
    case ErrorCode::kNotFound:
      return absl::StatusCode::kNotFound;
    case ErrorCode::kUnsupported:
      return absl::StatusCode::kUnimplemented;
    case ErrorCode::kIncompatiblePlan:
      return absl::StatusCode::kFailedPrecondition;
    case ErrorCode::kIo:
      return absl::StatusCode::kUnavailable;
    case ErrorCode::kOutOfMemory:
      return absl::StatusCode::kResourceExhausted;
    case ErrorCode::kCancelled:
      return absl::StatusCode::kCancelled;
    case ErrorCode::kAborted:
      return absl::StatusCode::kAborted;
    default:
      return absl::StatusCode::kInternal;
  }
}

// What `work` throws, as a status.
template <class F>
absl::Status caught(F&& work) noexcept {
  try {
    work();
    return absl::OkStatus();
  } catch (const Error& error) {
    return absl::Status(status_code(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("memory is short");
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  } catch (...) {
    return absl::InternalError("an unknown exception");
  }
}

}  // namespace tenon::tf
