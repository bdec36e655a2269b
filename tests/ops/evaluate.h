// Running single ops in tests of ops that hold state.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "ir/eval_context.h"
#include "ops/registry.h"

namespace tenon::test {

// Resources by name, and values that a checkpoint would give.
class MapServices : public ir::Services {
 public:
  std::map<std::string, Tensor> checkpoint;

  ObjectPtr resource(const std::string& container, const std::string& name, const std::function<ObjectPtr()>& make) override {
    ObjectPtr& object = resources_[container + "/" + name];
    if (object == nullptr) object = make();
    return object;
  }
  std::vector<Tensor> call(const ir::FunctionRef& function, std::vector<Tensor>) override {
    fail(ErrorCode::kUnsupported, "no function {}", function.name);
  }
  Tensor checkpoint_value(const std::string& name) override { return checkpoint[name]; }
  std::uint64_t random_seed() override { return 42; }

 private:
  std::map<std::string, ObjectPtr> resources_;
};

inline ir::Attrs attrs(std::initializer_list<std::pair<std::string, ir::AttrValue>> values) {
  ir::Attrs result;
  for (const auto& [name, value] : values) result.set(name, value);
  return result;
}

// The results of one op; the operands are moved in, so an operand that is given away may be overwritten.
inline std::vector<Tensor> evaluate(MapServices& services, std::string_view op, std::vector<Tensor> inputs, ir::Attrs attributes = {},
                                    int outputs = 1, const std::string& name = "node") {
  ir::Graph graph;
  std::vector<ir::Value> operands;
  for (const Tensor& input : inputs) {
    ir::Node* parameter = graph.add(ops::op("parameter"), "p", {}, attrs({{"dtype", input.dtype()}}));
    parameter->outputs[0] = {input.dtype(), input.shape()};
    operands.push_back(parameter->output());
  }
  ir::Node* node = graph.add(ops::op(op), name, operands, std::move(attributes), outputs);
  std::vector<Tensor> results(static_cast<std::size_t>(outputs));
  ir::EvalContext ctx(*node, inputs, results, &services, nullptr);
  node->op->evaluate(ctx);
  return results;
}

template <class T>
Tensor vec(std::vector<T> values) {
  return Tensor::vector<T>(std::span<const T>(values));
}
inline Tensor strings(const std::vector<std::string>& values) { return Tensor::vector<std::string>(values); }
template <class T>
std::vector<T> values(const Tensor& tensor) {
  const auto flat = tensor.flat<T>();
  return {flat.begin(), flat.end()};
}

}  // namespace tenon::test
