// A whole model: its main graph, the functions that control flow calls, signatures over the main graph, assets.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace tenon::ir {

// One named input or output of a signature. `value` is empty when the tensor does not exist in the graph.
struct Binding {
  std::string key;
  std::string tensor_name;  // TensorFlow's, such as "serving_default_x:0"
  ValueType type;
  Value value;
};

struct Signature {
  std::string key;
  std::string method_name;
  std::vector<Binding> inputs;
  std::vector<Binding> outputs;
  std::map<std::string, Tensor> defaults;  // inputs that a caller may leave out
};

// A file that a tensor of the graph names.
struct Asset {
  Value value;
  std::string path;  // absolute
};

struct Module {
  SymbolSource symbols;
  std::unique_ptr<Graph> main;
  std::map<std::string, std::unique_ptr<Graph>, std::less<>> functions;
  std::vector<Signature> signatures;
  std::vector<Asset> assets;
  Node* init = nullptr;  // runs once after the variables are there

  const Signature* find_signature(std::string_view key) const {
    for (const Signature& signature : signatures) {
      if (signature.key == key) return &signature;
    }
    return nullptr;
  }
};

}  // namespace tenon::ir
