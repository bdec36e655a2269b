// Graphs that are damaged at random: the pipeline refuses them with an Error or rewrites them to a graph that verifies.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "ops/inference.h"
#include "ops/registry.h"
#include "passes/pipeline.h"
#include "passes/run_graph.h"

namespace tenon::passes {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> sources() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(TENON_SOURCE_DIR) / "tests/golden")) {
    if (entry.path().extension() == ".ir") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> texts;
  for (const fs::path& file : files) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    const std::string all = text.str();
    const std::size_t middle = all.find("=====\n");
    texts.push_back(all.substr(0, middle));
    if (middle != std::string::npos) texts.push_back(all.substr(middle + 6));
  }
  return texts;
}

class Mutation {
 public:
  unsigned next(std::size_t bound) { return (state_ = state_ * 1664525u + 1013904223u, state_ >> 8) % static_cast<unsigned>(bound); }

  // Swaps digits for digits and words for words, so that most results still parse.
  std::string apply(const std::string& text, const std::vector<std::string>& words) {
    std::string result = text;
    for (unsigned k = 0; k <= next(3); ++k) {
      std::size_t at = next(result.size());
      if (next(2) == 0) {
        at = result.find_first_of("0123456789", at);
        if (at != std::string::npos) result[at] = static_cast<char>('0' + next(10));
      } else {
        at = result.find(" = ", at);
        if (at == std::string::npos) continue;
        const std::size_t end = result.find(' ', at + 3);
        if (end != std::string::npos) result.replace(at + 3, end - at - 3, words[next(words.size())]);
      }
    }
    return result;
  }

 private:
  unsigned state_ = 1;
};

// What the graph computes; nothing when it cannot run.
std::optional<std::vector<Tensor>> results_of(const ir::Graph& graph) {
  try {
    return run(graph);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// The types that the text states may be wrong by now.
void forget_types(ir::Graph& graph, SymbolSource& symbols) {
  for (const auto& node : graph.nodes()) {
    for (ir::ValueType& type : node->outputs) type = {};
  }
  ops::InferenceOptions options;
  ops::Facts facts(symbols, options);
  ops::infer(graph, facts, options);
}

bool agree(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  if (a.dtype() != DataType::kFloat32) return a.byte_size() == 0 || std::memcmp(a.data(), b.data(), a.byte_size()) == 0;
  float scale = 0.1f;
  for (const float v : a.flat<float>()) scale = std::max(scale, std::isfinite(v) ? std::fabs(v) : 0.0f);
  for (std::size_t i = 0; i < a.flat<float>().size(); ++i) {
    const float x = a.flat<float>()[i], y = b.flat<float>()[i];
    if (std::isfinite(x) && !(std::fabs(x - y) <= 1e-4f * scale)) return false;
  }
  return true;
}

TEST(Mutation, RefusedOrOptimized) {
  const std::vector<std::string> texts = sources();
  const std::vector<std::string> words = {"add", "mul", "reshape", "transpose", "fused_conv2d", "fused_matmul", "softmax", "mean", "concat",
                                          "relu", "conv2d", "pad", "sub", "div", "maximum", "pow", "sigmoid", "bias_add", "squeeze", "neg", "max_pool",
                                          "channel_affine", "fused_depthwise_conv2d", "gelu", "clip", "erf", "layer_norm", "attention", "einsum", "identity", "elementwise", "square"};
  Mutation mutation;
  int optimized = 0, compared = 0;
  for (int round = 0; round < 6000; ++round) {
    const std::string text = mutation.apply(texts[mutation.next(texts.size())], words);
    try {
      const auto graph = ir::parse(text, {ops::find_op, {}});
      SymbolSource symbols;
      forget_types(*graph, symbols);
      const auto before = results_of(*graph);
      optimize(*graph, {}, symbols);
      ir::verify(*graph);
      ++optimized;
      if (!before) continue;
      const auto after = results_of(*graph);
      ASSERT_TRUE(after) << text;
      for (std::size_t i = 0; i < before->size(); ++i) ASSERT_TRUE(agree((*before)[i], (*after)[i])) << i << "\n" << text << ir::print(*graph);
      ++compared;
    } catch (const Error& error) {
      EXPECT_NE(error.code(), ErrorCode::kInternal) << error.what() << "\n" << text;
    }
  }
  EXPECT_GT(optimized, 1000);
  EXPECT_GT(compared, 500);
}

}  // namespace
}  // namespace tenon::passes
