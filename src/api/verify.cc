#include "api/verify.h"

#include <algorithm>
#include <chrono>

#include "tenon/compare.h"
#include "tenon/random_inputs.h"
#include "tenon/session.h"

namespace tenon::api {
namespace {

constexpr std::uint64_t kSeed = 1;
// How long each of the two models is timed.
constexpr double kTimingSeconds = 0.2;

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

std::map<std::string, Tensor> made_up_feeds(const Session& session, const std::string& key, const ConvertOptions& options) {
  std::map<std::string, Tensor> feeds;
  for (const TensorSpec& input : session.inputs(key)) {
    feeds.emplace(input.name, random_tensor(input.dtype, shape_to_feed(input, options), kSeed));
  }
  return feeds;
}

Session open(const std::string& path, const ConvertOptions& options, bool native) {
  SessionOptions session;
  session.tags = options.tags;
  session.threads = options.threads;
  session.native = native;
  session.log = [](const std::string&, void*) {};  // opening the model says it, not its measuring
  return Session::open(path, session);
}

// Milliseconds of one call: the median of what fits into the time, at least one.
double median_ms(Session& session, const std::map<std::string, Tensor>& feeds, const std::string& key) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> times;
  const auto end = Clock::now() + std::chrono::duration<double>(kTimingSeconds);
  do {
    const auto start = Clock::now();
    session.run(feeds, key);
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  } while (Clock::now() < end);
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

double engine_share(Session& session, const std::map<std::string, Tensor>& feeds, const std::string& key) {
  double engines = 0, all = 0;
  for (const ProfileEntry& entry : session.profile(feeds, key)) {
    all += entry.seconds;
    if (!entry.engine.empty()) engines += entry.seconds;
  }
  return all > 0 ? engines / all : 0;
}

}  // namespace

void verify(const std::string& original, const std::string& converted, const ConvertOptions& options, ConvertReport& report) {
  Session before = open(original, options, true);
  Session after = open(converted, options, false);
  for (const std::string& key : after.signature_keys()) {
    std::map<std::string, Tensor> feeds, expected;
    try {
      feeds = made_up_feeds(after, key, options);
      expected = before.run(feeds, key);
    } catch (const Error& error) {
      report.notes.push_back("signature \"" + key + "\" was not verified: it refuses made-up inputs: " + error.what());
      continue;
    }
    const auto found = after.run(feeds, key);
    for (const auto& [name, tensor] : expected) {
      const Difference difference = compare(tensor, found.at(name));
      OutputError error{key, name, difference.max_abs, difference.scale, difference.problem, {}};
      if (differs(difference)) error.first_node = first_difference(before, after, feeds, key);
      report.verification.push_back(std::move(error));
    }
  }
}

void time_models(const std::string& original, const std::string& converted, const ConvertOptions& options, ConvertReport& report) {
  try {
    Session before = open(original, options, true);
    Session after = open(converted, options, false);
    const auto keys = after.signature_keys();
    if (keys.empty()) return;
    const auto feeds = made_up_feeds(after, keys[0], options);
    for (Session* session : {&before, &after}) session->run(feeds, keys[0]);  // makes what the first call makes
    report.native_ms = median_ms(before, feeds, keys[0]);
    report.converted_ms = median_ms(after, feeds, keys[0]);
    report.engine_time_share = engine_share(after, feeds, keys[0]);
  } catch (const Error& error) {
    report.native_ms = report.converted_ms = 0;
    report.notes.push_back(std::string("the whole model was not timed: ") + error.what());
  }
}

}  // namespace tenon::api
