#include "backends/null/null_backend.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "ops/registry.h"

namespace tenon {
namespace {

TEST(NullBackend, RefusesEveryNodeWithAReason) {
  ir::Graph graph;
  const ir::Node* node = graph.add(ops::op("no_op"), "n", {}, {}, 0);
  const Verdict verdict = make_null_backend()->supports(std::span(&node, 1), Precision{});
  EXPECT_FALSE(verdict);
  EXPECT_NE(verdict.reason().find("\"n\""), std::string::npos);
}

TEST(NullBackend, CompilesAndLoadsNothing) {
  const auto backend = make_null_backend();
  Segment segment;
  segment.name = "s";
  segment.graph = std::make_unique<ir::Graph>();
  EXPECT_THROW(backend->compile(segment, CompileOptions{}), Error);
  NoWeights none;
  EXPECT_THROW(backend->load(plan::Engine{}, none, DeviceOptions{}), Error);
}

}  // namespace
}  // namespace tenon
