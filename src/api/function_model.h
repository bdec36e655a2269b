// A native segment that came as TensorFlow's function library, imported: to compile an engine from, or to run.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "ir/module.h"
#include "runtime/engine_cache.h"
#include "savedmodel/model.h"
#include "tenon/engine.h"

namespace tenon::api {

class FunctionModel : public runtime::SegmentSource {
 public:
  // Throws kInvalidModel or kUnsupported for a function that cannot be imported.
  FunctionModel(SegmentFunction function, EngineAttributes attributes);
  ~FunctionModel() override;

  Segment segment() override;
  WeightsProvider& weights() override;
  // Runs the function on the host executor. One tensor per input; resources hold the function's constants.
  std::vector<Tensor> run(std::span<const Tensor> inputs);

 private:
  class Constants;

  SegmentFunction function_;
  EngineAttributes attributes_;
  saved::Model model_;
  std::unique_ptr<ir::Module> module_;
  std::unique_ptr<Constants> constants_;
};

}  // namespace tenon::api
