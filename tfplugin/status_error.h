// TensorFlow's errors on their way through code that throws; the status is kept as it is.
#pragma once

#include "absl/status/status.h"

namespace tenon::tf {

struct StatusError {
  absl::Status status;
};

inline void check(const absl::Status& status) {
  if (!status.ok()) throw StatusError{status};
}

}  // namespace tenon::tf
