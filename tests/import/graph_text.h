// Models written as text in a test: nodes in a short notation, functions in protobuf's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "import/import.h"
#include "savedmodel/load.h"

namespace tenon::test {

// One NodeDef as text: node("y", "AddV2", {"a", "b:1", "^c"}, "key: 'T' value { type: DT_FLOAT }").
inline std::string node(const std::string& name, const std::string& op, const std::vector<std::string>& inputs = {},
                        const std::vector<std::string>& attrs = {}, const std::string& field = "node") {
  std::string text = field + " { name: '" + name + "' op: '" + op + "'";
  for (const std::string& input : inputs) text += " input: '" + input + "'";
  for (const std::string& attr : attrs) text += " attr { " + attr + " }";
  return text + " }\n";
}
inline std::string inner(const std::string& name, const std::string& op, const std::vector<std::string>& inputs = {},
                         const std::vector<std::string>& attrs = {}) {
  return node(name, op, inputs, attrs, "node_def");
}

inline std::string type_attr(const std::string& key, const std::string& dtype) {
  return "key: '" + key + "' value { type: " + dtype + " }";
}
inline const std::string kFloatT = type_attr("T", "DT_FLOAT");
inline const std::string kInt32T = type_attr("T", "DT_INT32");
inline const std::string kFloatDtype = type_attr("dtype", "DT_FLOAT");
inline std::string int_attr(const std::string& key, std::int64_t value) {
  return "key: '" + key + "' value { i: " + std::to_string(value) + " }";
}
inline std::string bool_attr(const std::string& key, bool value) {
  return "key: '" + key + "' value { b: " + (value ? "true" : "false") + " }";
}
inline std::string string_attr(const std::string& key, const std::string& value) {
  return "key: '" + key + "' value { s: '" + value + "' }";
}
inline std::string func_attr(const std::string& key, const std::string& name) {
  return "key: '" + key + "' value { func { name: '" + name + "' } }";
}
inline std::string types_attr(const std::string& key, const std::vector<std::string>& types) {
  std::string text = "key: '" + key + "' value { list {";
  for (const std::string& type : types) text += " type: " + type;
  return text + " } }";
}

inline std::string placeholder(const std::string& name, const std::string& dtype = "DT_FLOAT") {
  return node(name, "Placeholder", {}, {type_attr("dtype", dtype), "key: 'shape' value { shape { unknown_rank: true } }"});
}
inline std::string const_attr(float value) {
  return "key: 'value' value { tensor { dtype: DT_FLOAT tensor_shape { } float_val: " + std::to_string(value) + " } }";
}
inline std::string const_attr_int(int value) {
  return "key: 'value' value { tensor { dtype: DT_INT32 tensor_shape { } int_val: " + std::to_string(value) + " } }";
}
inline std::string constant(const std::string& name, float value, const std::vector<std::string>& inputs = {}) {
  return node(name, "Const", inputs, {kFloatDtype, const_attr(value)});
}
inline std::string constant_int(const std::string& name, int value, const std::vector<std::string>& inputs = {}) {
  return node(name, "Const", inputs, {type_attr("dtype", "DT_INT32"), const_attr_int(value)});
}
inline std::string call(const std::string& name, const std::string& function, const std::vector<std::string>& inputs,
                        std::size_t results = 1, const std::string& field = "node") {
  std::size_t data = 0;
  for (const std::string& input : inputs) data += input[0] != '^';
  return node(name, "PartitionedCall", inputs,
              {types_attr("Tin", std::vector<std::string>(data, "DT_FLOAT")),
               types_attr("Tout", std::vector<std::string>(results, "DT_FLOAT")), func_attr("f", function)},
              field);
}
// A function of float tensors: function("f", {"x"}, {{"y", "mul:z:0"}}, inner(...) + ...).
inline std::string function(const std::string& name, const std::vector<std::string>& arguments,
                            const std::vector<std::pair<std::string, std::string>>& results, const std::string& body,
                            const std::string& dtype = "DT_FLOAT") {
  std::string text = "function { signature { name: '" + name + "'";
  for (const std::string& argument : arguments) text += " input_arg { name: '" + argument + "' type: " + dtype + " }";
  for (const auto& [result, tensor] : results) text += " output_arg { name: '" + result + "' type: " + dtype + " }";
  text += " }\n" + body;
  for (const auto& [result, tensor] : results) text += " ret { key: '" + result + "' value: '" + tensor + "' }";
  return text + " }\n";
}

struct Imported {
  saved::Model model;
  std::unique_ptr<ir::Module> module;

  ir::Node* find(std::string_view name) const { return module->main->find(name); }
};

// A frozen graph from its text; `library` holds functions.
inline Imported import_text(const std::string& nodes, const std::string& library = "", importer::ImportOptions options = {}) {
  auto text = std::make_shared<std::string>(nodes);
  if (!library.empty()) *text += "library { " + library + " }";
  Imported result{saved::load_bytes(*text, text, "test", saved::FileFormat::kText), nullptr};
  result.module = importer::import_module(result.model, result.model.meta_graphs.at(0), options);
  return result;
}

// The message of the error that `f` throws; empty when it throws none.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace tenon::test
