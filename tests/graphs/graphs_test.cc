// Runs small graphs with outputs recorded from TensorFlow, from ../shared/graphs beside the project (its README.md has the
// layout and the tolerances). Each graph runs as it was recorded, as a SavedModel, with every input size unknown, and
// converted with segments of any size. TENON_GRAPHS=text runs only cases whose name contains the text; TENON_GRAPHS_LIST=1
// prints every case that does not pass.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/visit_dtype.h"
#include "savedmodel/load.h"
#include "savedmodel/write.h"
#include "tenon/convert.h"
#include "tenon/npy.h"
#include "tenon/session.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kWays[] = {"as recorded", "as a SavedModel", "with unknown sizes", "converted", "converted with unknown sizes"};
constexpr int kWayCount = 5;

struct Output {
  std::string tensor;
  DataType dtype = DataType::kInvalid;
  bool rounded = false;
  Tensor value;
};

struct Case {
  std::string name;
  fs::path folder;
  std::vector<std::string> inputs;
  std::vector<Tensor> feeds;
  std::vector<Output> outputs;
  bool values = true;  // else dtypes and shapes only
};

double as_double(const Tensor& tensor, std::size_t i) {
  return visit_dtype(Join<RealNumbers, TypeList<bool>>{}, tensor.dtype(), "read", [&](auto tag) {
    using T = typename decltype(tag)::type;
    return static_cast<double>(tensor.flat<T>()[i]);
  });
}

// Strings are recorded as Latin-1 text, which the reader gives as UTF-8.
std::string latin1(const std::string& utf8) {
  std::string bytes;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto c = static_cast<unsigned char>(utf8[i]);
    if (c < 0x80) {
      bytes += utf8[i];
    } else if (i + 1 < utf8.size()) {
      bytes += static_cast<char>((c & 3) << 6 | (static_cast<unsigned char>(utf8[++i]) & 0x3f));
    }
  }
  return bytes;
}

Tensor decode(const Tensor& recorded, DataType dtype) {
  if (dtype == DataType::kString) {
    Tensor text(dtype, recorded.shape());
    for (std::size_t i = 0; i < static_cast<std::size_t>(text.num_elements()); ++i) {
      text.flat<std::string>()[i] = latin1(recorded.flat<std::string>()[i]);
    }
    return text;
  }
  if (dtype != DataType::kBFloat16) return recorded;
  Tensor narrow(dtype, recorded.shape());
  for (std::size_t i = 0; i < static_cast<std::size_t>(narrow.num_elements()); ++i) {
    narrow.flat<BFloat16>()[i] = BFloat16(static_cast<float>(as_double(recorded, i)));
  }
  return narrow;
}

struct Tolerance {
  double relative = 0;
  double absolute = 0;
};

Tolerance tolerance_of(DataType dtype) {
  if (dtype == DataType::kFloat64 || dtype == DataType::kComplex128) return {1e-6, 1e-6};
  if (dtype == DataType::kFloat16 || dtype == DataType::kBFloat16) return {1e-2, 1e-2};
  if (dtype == DataType::kFloat32 || dtype == DataType::kComplex64) return {1e-4, 1e-5};
  return {};
}

template <class T>
std::string difference(std::span<const T> got, std::span<const T> want, Tolerance tolerance) {
  if constexpr (kIsComplex<T>) {
    using P = typename T::value_type;
    return difference<P>({reinterpret_cast<const P*>(got.data()), 2 * got.size()}, {reinterpret_cast<const P*>(want.data()), 2 * want.size()},
                         tolerance);
  } else if constexpr (kIsFloat<T>) {
    double largest = 0.1;
    for (const T& v : want) {
      if (std::isfinite(static_cast<double>(v))) largest = std::max(largest, std::abs(static_cast<double>(v)));
    }
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double x = static_cast<double>(got[i]), y = static_cast<double>(want[i]);
      const double allowed = tolerance.relative * std::abs(y) + tolerance.absolute * largest;
      const bool same = x == y || (std::isnan(x) && std::isnan(y)) || (std::isfinite(x) && std::isfinite(y) && std::abs(x - y) <= allowed);
      if (!same) return fmt::format("element {} is {:.9g}, recorded {:.9g}", i, x, y);
    }
    return {};
  } else {
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (got[i] != want[i]) return fmt::format("element {} is {}, recorded {}", i, got[i], want[i]);
    }
    return {};
  }
}

std::string compare(const Tensor& got, const Output& output, bool values) {
  const Tensor& want = output.value;
  if (got.dtype() != output.dtype || got.shape() != want.shape()) {
    return fmt::format("{} is {}, recorded {}{}", output.tensor, got.describe(), dtype_name(output.dtype), want.shape().to_string());
  }
  if (!values) return {};
  std::string text;
  if (output.rounded) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(got.num_elements()) && text.empty(); ++i) {
      if (as_double(got, i) != as_double(want, i)) text = fmt::format("element {} differs as float64", i);
    }
  } else {
    visit_dtype(Join<PlainTypes, TypeList<std::string>>{}, got.dtype(), "compare", [&](auto tag) {
      using T = typename decltype(tag)::type;
      text = difference<T>(got.flat<T>(), want.flat<T>(), tolerance_of(got.dtype()));
    });
  }
  return text.empty() ? text : output.tensor + ": " + text;
}

Case read_case(const json& entry, const fs::path& root) {
  Case c;
  c.name = entry["case"];
  c.folder = root / c.name;
  c.values = entry["check"] == "values";
  const auto arrays = read_npz(c.folder / "values.npz");
  for (const json& input : entry["inputs"]) {
    c.feeds.push_back(decode(arrays.at("in" + std::to_string(c.inputs.size())), dtype_from_name(input["dtype"].get<std::string>())));
    c.inputs.push_back(input["name"]);
  }
  for (const json& output : entry["outputs"]) {
    Output o;
    o.tensor = output["tensor"];
    o.dtype = dtype_from_name(output["dtype"].get<std::string>());
    o.rounded = output.value("rounded", false);
    o.value = decode(arrays.at("out" + std::to_string(c.outputs.size())), o.dtype);
    c.outputs.push_back(std::move(o));
  }
  return c;
}

// One signature that gives the inputs and outputs their own names.
saved::SignatureDef signature_of(const Case& c, bool known_sizes) {
  saved::SignatureDef signature;
  signature.key = "serving_default";
  signature.method_name = "tensorflow/serving/predict";
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    saved::TensorInfo info;
    info.key = c.inputs[i];
    info.name = c.inputs[i] + ":0";
    info.dtype = c.feeds[i].dtype();
    info.shape.known_rank = true;
    info.shape.dims = c.feeds[i].shape().dims();
    if (!known_sizes) std::fill(info.shape.dims.begin(), info.shape.dims.end(), -1);
    signature.inputs.push_back(std::move(info));
  }
  for (const Output& output : c.outputs) {
    saved::TensorInfo info;
    info.key = output.tensor;
    info.name = output.tensor;
    info.dtype = output.dtype;
    signature.outputs.push_back(std::move(info));
  }
  return signature;
}

void wrap(const Case& c, bool known_sizes, const fs::path& folder) {
  const saved::Model model = saved::load(c.folder / "graph.pb");
  saved::MetaGraphEdit edit;
  edit.signatures = {signature_of(c, known_sizes)};
  if (!known_sizes) {
    std::vector<saved::NodeDef> nodes;
    for (const saved::NodeDef& node : model.meta_graphs[0].graph.nodes) {
      const auto input = std::find(c.inputs.begin(), c.inputs.end(), node.name);
      nodes.push_back(node);
      if (input == c.inputs.end()) continue;
      nodes.back() = node.edited();
      const auto rank = static_cast<std::size_t>(c.feeds[static_cast<std::size_t>(input - c.inputs.begin())].rank());
      saved::set_attr(nodes.back().attrs, "shape", saved::AttrValue::of(saved::PartialShape{true, std::vector<std::int64_t>(rank, -1)}));
    }
    edit.nodes = std::move(nodes);
  }
  saved::WriteOptions options;
  options.edits.push_back(std::move(edit));
  options.replace = true;
  saved::write(model, folder, options);
}

struct Outcome {
  std::string problem;  // empty: passed
  bool refused = false;
  bool engine = false;
};

class Runner {
 public:
  explicit Runner(fs::path scratch) : scratch_(std::move(scratch)) {}

  Outcome run(const Case& c) {
    Outcome outcome;
    for (int way = 0; way < kWayCount && outcome.problem.empty(); ++way) {
      try {
        outcome.problem = run_way(c, way, outcome);
      } catch (const Error& error) {
        outcome.refused = error.code() == ErrorCode::kUnsupported;
        outcome.problem = error.what();
      } catch (const std::exception& error) {
        outcome.problem = error.what();
      }
      if (!outcome.problem.empty()) outcome.problem = fmt::format("{}: {}", kWays[way], outcome.problem);
    }
    return outcome;
  }

 private:
  std::string run_way(const Case& c, int way, Outcome& outcome) {
    const fs::path plain = scratch_ / "plain", converted = scratch_ / "converted";
    SessionOptions options;
    options.threads = 1;
    options.native = way < 3;
    options.log = [](const std::string&, void*) {};
    if (way == 0) {
      options.inputs = c.inputs;
      for (const Output& output : c.outputs) options.outputs.push_back(output.tensor);
      return check(c, Session::open((c.folder / "graph.pb").string(), options), outcome);
    }
    wrap(c, way == 1 || way == 3, plain);
    if (way < 3) return check(c, Session::open(plain.string(), options), outcome);
    ConvertOptions conversion;
    conversion.minimum_segment_size = 1;
    conversion.min_gain = 0;
    conversion.threads = 1;
    conversion.force = true;
    convert(plain.string(), converted.string(), conversion);
    return check(c, Session::open(converted.string(), options), outcome);
  }

  std::string check(const Case& c, Session session, Outcome& outcome) {
    std::map<std::string, Tensor> feeds;
    for (std::size_t i = 0; i < c.inputs.size(); ++i) feeds[c.inputs[i]] = c.feeds[i];
    const auto results = session.run(feeds);
    for (const EngineStatus& engine : session.engines()) outcome.engine |= engine.loaded && engine.calls > 0;
    for (const Output& output : c.outputs) {
      const auto it = results.find(output.tensor);
      if (it == results.end()) return output.tensor + " is not among the results";
      std::string text = compare(it->second, output, c.values);
      if (!text.empty()) return text;
    }
    return {};
  }

  fs::path scratch_;
};

TEST(Graphs, GiveWhatTensorFlowGives) {
  const fs::path root = fs::path(TENON_SOURCE_DIR) / ".." / "shared" / "graphs";
  std::ifstream list(root / "cases.jsonl");
  if (!list) GTEST_SKIP() << "graphs: none is run, " << root << " is not there";
  const char* filter = std::getenv("TENON_GRAPHS");
  const bool listed = std::getenv("TENON_GRAPHS_LIST") != nullptr;
  const fs::path memory = "/dev/shm";  // models are synced to their disk when they are written, which takes most of the time
  const fs::path temporary = ::access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path();
  const fs::path scratch = temporary / ("tenon_graphs_" + std::to_string(::getpid()));
  fs::create_directories(scratch);
  Runner runner(scratch);
  int total = 0, passed = 0, refused = 0, engines = 0;
  for (std::string line; std::getline(list, line);) {
    const json entry = json::parse(line);
    if (filter != nullptr && entry["case"].get<std::string>().find(filter) == std::string::npos) continue;
    const Outcome outcome = runner.run(read_case(entry, root));
    ++total;
    passed += outcome.problem.empty();
    refused += outcome.refused;
    engines += outcome.engine;
    if (listed && !outcome.problem.empty()) std::printf("%s: %s\n", entry["case"].get<std::string>().c_str(), outcome.problem.c_str());
    std::fflush(stdout);
  }
  fs::remove_all(scratch);
  std::printf("graphs: %d of %d passed, %d refused for lack of ops, %d ran an engine\n", passed, total, refused, engines);
  EXPECT_EQ(passed, total) << "TENON_GRAPHS_LIST=1 prints which and why";
}

}  // namespace
}  // namespace tenon
