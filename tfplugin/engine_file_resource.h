// What InitializeTRTResource leaves in TensorFlow's resource manager: which file an engine is in. The engine itself is held
// by the nodes that use it, so that a model's end frees it although eager execution never deletes this.
#pragma once

#include <string>
#include <utility>

#include "tensorflow/core/framework/resource_base.h"
#include "tfplugin/engine_file.h"

namespace tenon::tf {

inline constexpr const char* kContainer = "TF-TRT";

class EngineFileResource : public tensorflow::ResourceBase {
 public:
  EngineFileResource(std::string identity, std::string path) : file_(std::move(identity), std::move(path)) {}
  std::string DebugString() const override { return "Tenon's engine " + file_.identity() + " in " + file_.path(); }
  const EngineFile& file() const { return file_; }

 private:
  const EngineFile file_;
};

}  // namespace tenon::tf
