// The arrows of the design in order: import, partition, compile, measure, export, report.
#pragma once

#include <functional>
#include <string>

#include "backend/backend.h"
#include "ir/module.h"
#include "savedmodel/model.h"
#include "tenon/convert.h"

namespace tenon::build {

// What convert() works on; the caller has loaded and imported it (without binding asset paths).
struct Input {
  const saved::Model& model;
  std::size_t meta_graph = 0;
  ir::Module& module;
  WeightsProvider& weights;
};

// Throws as tenon::convert.
ConvertReport convert(const Input& input, Backend& backend, const std::string& output, const ConvertOptions& options);

}  // namespace tenon::build
