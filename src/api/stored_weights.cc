#include "api/stored_weights.h"

#include "base/error.h"

namespace tenon::api {

Tensor StoredWeights::variable(const std::string& name) {
  Tensor value = model_.stored_variable(name);
  if (!value.valid()) fail(ErrorCode::kNotFound, "variable \"{}\" has no value in the model's checkpoint", name);
  return value;
}

}  // namespace tenon::api
