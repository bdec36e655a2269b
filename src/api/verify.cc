#include "api/verify.h"

#include <algorithm>

#include "tenon/compare.h"
#include "tenon/random_inputs.h"
#include "tenon/session.h"

namespace tenon::api {
namespace {

constexpr std::uint64_t kSeed = 1;

Shape shape_to_feed(const TensorSpec& spec, const ConvertOptions& options) {
  for (const NamedShapes* shapes : {&options.shapes, &options.max_shapes, &options.min_shapes}) {
    const auto it = shapes->find(spec.name);
    if (it != shapes->end()) return Shape(it->second);
  }
  std::vector<std::int64_t> dims;
  for (std::int64_t size : spec.shape) dims.push_back(size < 0 ? 1 : size);
  return Shape(std::move(dims));
}

// Differences below this share of a tensor's scale are rounding.
constexpr double kRounding = 1e-4;

bool differs(const Difference& difference) {
  return !difference.comparable || difference.max_abs > kRounding * std::max(difference.scale, 1e-30);
}

// The first tensor, in the converted model's order of execution, that is not what the original computes under that name.
std::string first_difference(Session& before, Session& after, const std::map<std::string, Tensor>& feeds, const std::string& key) {
  std::vector<std::pair<std::string, Tensor>> found;
  after.trace(feeds, key, [&](const std::string& name, const Tensor& tensor) { found.emplace_back(name, tensor); });
  std::map<std::string, Tensor> expected;
  before.trace(feeds, key, [&](const std::string& name, const Tensor& tensor) { expected[name] = tensor; });
  for (const auto& [name, tensor] : found) {
    const auto it = expected.find(name);
    if (it == expected.end() || tensor.dtype() == DataType::kResource || tensor.dtype() == DataType::kVariant) continue;
    if (differs(compare(it->second, tensor))) return name;
  }
  return {};
}

}  // namespace

std::vector<OutputError> verify(const std::string& original, const std::string& converted, const ConvertOptions& options) {
  SessionOptions session;
  session.tags = options.tags;
  session.threads = options.threads;
  session.native = true;
  Session before = Session::open(original, session);
  session.native = false;
  Session after = Session::open(converted, session);
  std::vector<OutputError> errors;
  for (const std::string& key : after.signature_keys()) {
    std::map<std::string, Tensor> feeds;
    for (const TensorSpec& input : after.inputs(key)) {
      feeds.emplace(input.name, random_tensor(input.dtype, shape_to_feed(input, options), kSeed));
    }
    const auto expected = before.run(feeds, key);
    const auto found = after.run(feeds, key);
    for (const auto& [name, tensor] : expected) {
      const Difference difference = compare(tensor, found.at(name));
      OutputError error{key, name, difference.max_abs, difference.scale, {}};
      if (differs(difference)) error.first_node = first_difference(before, after, feeds, key);
      errors.push_back(std::move(error));
    }
  }
  return errors;
}

}  // namespace tenon::api
