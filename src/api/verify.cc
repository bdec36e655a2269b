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
      if (!difference.comparable) error.first_node = difference.problem;
      errors.push_back(std::move(error));
    }
  }
  return errors;
}

}  // namespace tenon::api
