// A model's checkpoint as the weights that engines are built from.
#pragma once

#include "api/model_state.h"
#include "backend/backend.h"

namespace tenon::api {

class StoredWeights : public WeightsProvider {
 public:
  explicit StoredWeights(const OpenModel& model) : model_(model) {}
  // Throws kNotFound when the checkpoint has no such variable.
  Tensor variable(const std::string& name) override;

 private:
  const OpenModel& model_;
};

}  // namespace tenon::api
