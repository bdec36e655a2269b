// Looking into models without running them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tenon/session.h"

namespace tenon {

struct SignatureInfo {
  std::string key;
  std::string method_name;
  std::vector<TensorSpec> inputs, outputs;
};

struct EngineInfo {
  std::string name;
  std::uint64_t bytes = 0;
  std::string precision;
  std::string stamp;       // what the engine was built for
  std::string problem;     // why it does not fit here; empty when it does
  std::vector<std::string> nodes;  // what it serves; several nodes with equal parts share one
};

struct MetaGraphInfo {
  std::vector<std::string> tags;
  std::vector<SignatureInfo> signatures;
  std::map<std::string, int> ops;              // op type -> nodes, functions included
  std::map<std::string, int> unsupported_ops;  // those that Tenon does not implement
  int nodes = 0;
  int functions = 0;
  int variables = 0;
  std::vector<std::string> assets;
  std::vector<EngineInfo> engines;
  // Candidates for feeding and fetching by raw name, for models without signatures: "node:0 float32 [?,3]".
  std::vector<std::string> placeholders, unconsumed;
};

struct ModelInfo {
  std::string path;
  bool frozen_graph = false;
  std::vector<MetaGraphInfo> meta_graphs;
};

ModelInfo inspect(const std::string& path);

// The IR as text: "import" (main graph and functions as imported), "partition" (the segments, and why each other node stays
// native), "optimized" (each segment after the passes that its engine gets).
std::string inspect_stage(const std::string& path, const std::string& stage, const std::vector<std::string>& tags = {});

// One TensorFlow op that Tenon implements.
struct OpInfo {
  std::string tf_op;
  std::string ir_op;
  std::string family;
  bool reference = false;  // has a reference kernel
  std::string engine;      // "yes" when the CPU backend has a kernel for it, "–" when it always runs natively
};

std::vector<OpInfo> supported_ops();

}  // namespace tenon
