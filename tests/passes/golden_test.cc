// Golden tests of passes: tests/golden/<pass>/*.ir hold a graph, a line "=====" and the graph that the pass makes of it. Both are
// also run on random inputs and must agree. TENON_UPDATE_GOLDEN=1 writes the second half anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "base/error.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "ops/inference.h"
#include "ops/registry.h"
#include "passes/passes.h"
#include "passes/pipeline.h"
#include "passes/run_graph.h"

namespace tenon::passes {
namespace {

namespace fs = std::filesystem;

using PassFunction = std::function<void(ir::Graph&, SymbolSource&)>;

PassFunction plain(bool (*pass)(ir::Graph&)) {
  return [pass](ir::Graph& graph, SymbolSource&) { pass(graph); };
}

const std::map<std::string, PassFunction>& all_passes() {
  static const std::map<std::string, PassFunction> passes = {
      {"fold_constants", [](ir::Graph& graph, SymbolSource& symbols) { fold_constants(graph, {}, symbols); }},
      {"widen_half", plain(widen_half)},
      {"remove_identities", plain(remove_identities)},
      {"merge_duplicates", plain(merge_duplicates)},
      {"simplify", plain(simplify)},
      {"unify_sizes", plain(unify_sizes)},
      {"use_nhwc", plain(use_nhwc)},
      {"lower_einsum", [](ir::Graph& graph, SymbolSource& symbols) { lower_einsum(graph, symbols); }},
      {"lower_to_fused", plain(lower_to_fused)},
      {"fuse_dilation", plain(fuse_dilation)},
      {"flatten_matmul", plain(flatten_matmul)},
      {"fuse_activations", plain(fuse_activations)},
      {"fuse_layer_norm", plain(fuse_layer_norm)},
      {"fuse_layer_norm_residual", plain(fuse_layer_norm_residual)},
      {"fold_batch_norm", plain(fold_batch_norm)},
      {"fold_padding", plain(fold_padding)},
      {"fuse_attention", plain(fuse_attention)},
      {"fuse_epilogue", plain(fuse_epilogue)},
      {"fuse_depthwise", plain(fuse_depthwise)},
      {"fuse_elementwise", plain(fuse_elementwise)},
      {"optimize", [](ir::Graph& graph, SymbolSource& symbols) { optimize(graph, {}, symbols); }},
  };
  return passes;
}

std::string read(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void infer_types(ir::Graph& graph, SymbolSource& symbols) {
  ops::InferenceOptions options;
  ops::Facts facts(symbols, options);
  ops::infer(graph, facts, options);
}

void expect_close(const std::vector<Tensor>& before, const std::vector<Tensor>& after) {
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    ASSERT_EQ(before[i].describe(), after[i].describe());
    if (before[i].dtype() != DataType::kFloat32) continue;
    float scale = 1e-6f;
    for (const float v : before[i].flat<float>()) scale = std::max(scale, std::fabs(v));
    for (std::int64_t k = 0; k < before[i].num_elements(); ++k) {
      const auto at = static_cast<std::size_t>(k);
      ASSERT_NEAR(before[i].flat<float>()[at], after[i].flat<float>()[at], 1e-5f * scale) << "output " << i << ", element " << k;
    }
  }
}

// Inferred types must agree with what the pass left on the nodes.
void expect_types_hold(ir::Graph& graph, SymbolSource& symbols) {
  const auto copy = ir::clone(graph);
  for (const auto& node : copy->nodes()) {
    if (node->is("parameter")) continue;
    for (ir::ValueType& type : node->outputs) type = {};
  }
  infer_types(*copy, symbols);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    for (std::size_t k = 0; k < graph.nodes()[i]->outputs.size(); ++k) {
      const ir::ValueType &stated = graph.nodes()[i]->outputs[k], &found = copy->nodes()[i]->outputs[k];
      EXPECT_EQ(stated.dtype, found.dtype) << graph.nodes()[i]->name;
      if (!stated.shape.fully_known() || !found.shape.fully_known()) continue;
      EXPECT_EQ(stated.shape.to_string(), found.shape.to_string()) << graph.nodes()[i]->name;
    }
  }
}

class Golden : public testing::TestWithParam<fs::path> {};

TEST_P(Golden, MakesWhatWasRecorded) {
  const fs::path path = GetParam();
  const std::string text = read(path);
  const std::string separator = "=====\n";
  const std::size_t middle = std::min(text.find(separator), text.size());
  const std::string source = text.substr(0, middle);
  const std::string expected = middle == text.size() ? std::string() : text.substr(middle + separator.size());
  SymbolSource symbols;
  const auto before = ir::parse(source, {ops::find_op, {}});
  infer_types(*before, symbols);
  const auto after = ir::clone(*before);
  all_passes().at(path.parent_path().filename().string())(*after, symbols);
  ir::verify(*after);
  expect_types_hold(*after, symbols);
  const std::string made = ir::print(*after);
  if (std::getenv("TENON_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << source << separator << made;
  } else {
    EXPECT_EQ(made, expected);
  }
  expect_close(run(*before), run(*after));
}

std::vector<fs::path> golden_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(TENON_SOURCE_DIR) / "tests/golden")) {
    if (entry.path().extension() == ".ir" && all_passes().contains(entry.path().parent_path().filename().string())) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Passes, Golden, testing::ValuesIn(golden_files()), [](const auto& info) {
  return info.param.parent_path().filename().string() + "_" + info.param.stem().string();
});

}  // namespace
}  // namespace tenon::passes
