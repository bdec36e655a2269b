#include "partition/equal_graphs.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace tenon::partition {
namespace {

bool equal_tensors(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  if (!a.valid() || a.data() == b.data()) return true;
  if (a.dtype() == DataType::kResource || a.dtype() == DataType::kVariant) return false;
  if (a.dtype() == DataType::kString) return std::ranges::equal(a.flat<std::string>(), b.flat<std::string>());
  return a.byte_size() == 0 || std::memcmp(a.data(), b.data(), a.byte_size()) == 0;
}

// Types of one graph with the other's, symbols matched one to one.
class Symbols {
 public:
  bool equal(const PartialShape& a, const PartialShape& b) {
    if (a.known_rank() != b.known_rank()) return false;
    if (!a.known_rank()) return true;
    return std::ranges::equal(a.dims(), b.dims(), [&](Dim x, Dim y) { return equal(x, y); });
  }

 private:
  bool equal(Dim a, Dim b) {
    if (a.known() || b.known()) return a == b;
    return forth_.try_emplace(a.symbol_id(), b.symbol_id()).first->second == b.symbol_id() &&
           back_.try_emplace(b.symbol_id(), a.symbol_id()).first->second == a.symbol_id();
  }

  std::unordered_map<std::int64_t, std::int64_t> forth_, back_;
};

constexpr int kMaxDepth = 64;  // of functions within functions that are compared

// What all graphs of one comparison share.
struct Shared {
  const ir::Module* module = nullptr;
  Symbols symbols;
  int depth = 0;
  std::map<std::string, std::string, std::less<>> functions;  // pairs that are equal, or being looked at
};

class Comparison {
 public:
  Comparison(const ir::Graph& a, const ir::Graph& b, Shared& shared) : a_(a), b_(b), shared_(shared) {}

  bool equal(bool reorder) {
    if (a_.size() != b_.size() || a_.parameters.size() != b_.parameters.size()) return false;
    if (a_.outputs.size() != b_.outputs.size() || a_.control_outputs.size() != b_.control_outputs.size()) return false;
    for (std::size_t i = 0; i < a_.parameters.size() && !reorder; ++i) match(a_.parameters[i], b_.parameters[i]);
    for (std::size_t i = 0; i < a_.outputs.size(); ++i) match(a_.outputs[i], b_.outputs[i]);
    for (std::size_t i = 0; i < a_.control_outputs.size(); ++i) match(a_.control_outputs[i], b_.control_outputs[i]);
    return follow() && match_the_rest() && matched_.size() == a_.size();
  }

  std::optional<Correspondence> correspondence() {
    std::unordered_map<const ir::Node*, std::size_t> index;
    for (std::size_t i = 0; i < b_.parameters.size(); ++i) index[b_.parameters[i]] = i;
    Correspondence result{std::move(matched_), {}};
    for (const ir::Node* parameter : a_.parameters) {
      const auto other = index.find(result.nodes.at(parameter));
      if (other == index.end()) return std::nullopt;
      result.parameters.push_back(other->second);
    }
    return result;
  }

 private:
  void match(const ir::Node* a, const ir::Node* b) {
    const auto [forth, fresh] = matched_.try_emplace(a, b);
    const auto back = reverse_.try_emplace(b, a).first;
    differs_ |= forth->second != b || back->second != a;
    if (fresh) work_.emplace_back(a, b);
  }

  void match(const ir::Value& a, const ir::Value& b) {
    differs_ |= a.index != b.index;
    match(a.node, b.node);
  }

  bool follow() {
    while (!work_.empty() && !differs_) {
      const auto [a, b] = work_.back();
      work_.pop_back();
      differs_ |= !equal_nodes(*a, *b);
    }
    return !differs_;
  }

  // What no output needs has to be the same in order of creation.
  bool match_the_rest() {
    std::vector<const ir::Node*> rest;
    for (const auto& node : b_.nodes()) {
      if (!reverse_.contains(node.get())) rest.push_back(node.get());
    }
    std::size_t next = 0;
    for (const auto& node : a_.nodes()) {
      if (matched_.contains(node.get())) continue;
      while (next < rest.size() && reverse_.contains(rest[next])) ++next;
      if (next == rest.size()) return false;
      match(node.get(), rest[next]);
      if (!follow()) return false;
    }
    return true;
  }

  bool equal_nodes(const ir::Node& a, const ir::Node& b) {
    if (a.op != b.op || a.inputs.size() != b.inputs.size() || a.control_inputs.size() != b.control_inputs.size()) return false;
    if (a.outputs.size() != b.outputs.size() || !equal_attributes(a.attrs, b.attrs, a.is("parameter"))) return false;
    for (std::size_t i = 0; i < a.outputs.size(); ++i) {
      if (a.outputs[i].dtype != b.outputs[i].dtype || !shared_.symbols.equal(a.outputs[i].shape, b.outputs[i].shape)) return false;
    }
    for (std::size_t i = 0; i < a.inputs.size(); ++i) match(a.inputs[i], b.inputs[i]);
    for (std::size_t i = 0; i < a.control_inputs.size(); ++i) match(a.control_inputs[i], b.control_inputs[i]);
    return !differs_;
  }

  bool equal_attributes(const ir::Attrs& a, const ir::Attrs& b, bool parameter) {
    if (a.size() != b.size()) return false;
    return std::equal(a.begin(), a.end(), b.begin(), [&](const auto& x, const auto& y) {
      if (x.first != y.first) return false;
      return (parameter && x.first == "index") || equal_values(x.second, y.second);
    });
  }

  bool equal_values(const ir::AttrValue& a, const ir::AttrValue& b) {
    if (a.index() != b.index()) return false;
    return std::visit([&](const auto& x) { return equal(x, std::get<std::decay_t<decltype(x)>>(b)); }, a);
  }

  template <class T>
  bool equal(const T& a, const T& b) {
    return a == b;
  }
  template <class T>
  bool equal(const std::vector<T>& a, const std::vector<T>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](const T& x, const T& y) { return equal(x, y); });
  }
  bool equal(const PartialShape& a, const PartialShape& b) { return shared_.symbols.equal(a, b); }
  bool equal(const Tensor& a, const Tensor& b) { return equal_tensors(a, b); }

  bool equal(const ir::FunctionRef& a, const ir::FunctionRef& b) {
    if ((a.attrs == nullptr) != (b.attrs == nullptr) || (a.attrs && !equal_attributes(*a.attrs, *b.attrs, false))) return false;
    const auto [known, fresh] = shared_.functions.try_emplace(a.name, b.name);
    if (!fresh || a.name == b.name) return known->second == b.name;
    if (shared_.module == nullptr) return false;
    const auto& functions = shared_.module->functions;
    const auto body_a = functions.find(a.name);
    const auto body_b = functions.find(b.name);
    if (body_a == functions.end() || body_b == functions.end() || shared_.depth == kMaxDepth) return false;
    ++shared_.depth;
    const bool same = Comparison(*body_a->second, *body_b->second, shared_).equal(false);
    --shared_.depth;
    return same;
  }

  const ir::Graph& a_;
  const ir::Graph& b_;
  Shared& shared_;
  bool differs_ = false;
  std::unordered_map<const ir::Node*, const ir::Node*> matched_, reverse_;
  std::vector<std::pair<const ir::Node*, const ir::Node*>> work_;
};

}  // namespace

std::optional<Correspondence> corresponding(const ir::Graph& a, const ir::Graph& b, const ir::Module* module, bool reorder) {
  Shared shared;
  shared.module = module;
  Comparison comparison(a, b, shared);
  if (!comparison.equal(reorder)) return std::nullopt;
  return comparison.correspondence();
}

}  // namespace tenon::partition
