// The text form of graphs: what is printed is parsed back, and broken text is refused without harm.
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "ops/registry.h"

namespace tenon::ir {
namespace {

ParseOptions options() { return {ops::find_op, {}}; }

std::unique_ptr<Graph> sample() {
  auto graph = std::make_unique<Graph>("ma\"in\n");
  Attrs attrs;
  attrs.set("dtype", DataType::kFloat32);
  attrs.set("shape", PartialShape{Dim::symbol(3), 4});
  Node* x = graph->add(ops::op("parameter"), "x", {}, attrs);
  x->outputs[0] = {DataType::kFloat32, PartialShape{Dim::symbol(3), 4}};
  graph->parameters = {x};
  Attrs all;
  all.set("value", Tensor::scalar<float>(-0.1f));
  all.set("i", std::int64_t{-5});
  all.set("f", std::nanf(""));
  all.set("g", -HUGE_VALF);
  all.set("s", std::string("a\\b\x01\"\n\xc3\xa9"));
  all.set("b", false);
  all.set("t", DataType::kString);
  all.set("p", PartialShape());
  all.set("empty", EmptyList{});
  all.set("li", std::vector<std::int64_t>{1, -2});
  all.set("lf", std::vector<float>{1e-30f, 2, HUGE_VALF});
  all.set("lb", std::vector<bool>{true, false});
  all.set("lt", std::vector<DataType>{DataType::kInt8, DataType::kInvalid});
  all.set("lp", std::vector<PartialShape>{PartialShape{}, PartialShape(std::vector<Dim>{})});
  all.set("ls", std::vector<std::string>{"", "x"});
  const std::vector<std::string> words{"a", "b\n"};
  all.set("lv", std::vector<Tensor>{Tensor::vector<std::string>(words), Tensor(DataType::kFloat32, Shape{0, 7})});
  Tensor half(DataType::kBFloat16, Shape{2});
  half.flat<BFloat16>()[0] = BFloat16(1.5f);
  half.flat<BFloat16>()[1] = BFloat16(-2.0f);
  all.set("half", half);
  auto inner = std::make_shared<Attrs>();
  inner->set("n", std::int64_t{1});
  all.set("fn", FunctionRef{"f\"1", inner});
  all.set("weird key", true);
  Node* constant = graph->add(ops::op("const"), "c", {}, all);
  constant->outputs[0] = {DataType::kFloat32, Shape{}};
  Node* both = graph->add(ops::op("identity"), "y", {x->output(), constant->output()}, {}, 2);
  both->outputs[0] = x->outputs[0];
  both->control_inputs = {x};
  both->origin.op_type = "IdentityN";
  both->origin.merged = {"one", "two"};
  graph->outputs = {both->output(1), both->output(0)};
  graph->control_outputs = {both};
  return graph;
}

TEST(GraphText, RoundTrip) {
  const std::string text = print(*sample());
  const auto parsed = parse(text, options());
  EXPECT_EQ(print(*parsed), text);
  EXPECT_EQ(parsed->nodes()[2]->outputs.size(), 2u);
  EXPECT_EQ(parsed->nodes()[1]->attr<std::string>("s"), "a\\b\x01\"\n\xc3\xa9");
}

TEST(GraphText, ExternalTensors) {
  Graph graph("g");
  Tensor big(DataType::kFloat32, Shape{100});
  for (std::size_t i = 0; i < 100; ++i) big.flat<float>()[i] = static_cast<float>(i);
  Attrs attrs;
  attrs.set("value", big);
  Node* c = graph.add(ops::op("const"), "c", {}, attrs);
  c->outputs[0] = {DataType::kFloat32, Shape{100}};
  graph.outputs = {c->output()};
  PrintOptions to_table;
  std::vector<Tensor> table;
  to_table.external = [&](const Tensor& t) {
    table.push_back(t);
    return static_cast<int>(table.size()) - 1;
  };
  const std::string text = print(graph, to_table);
  EXPECT_NE(text.find("value: @0"), std::string::npos);
  EXPECT_THROW(parse(text, options()), Error);
  ParseOptions from_table = options();
  from_table.tensor = [&](int k) { return table.at(static_cast<std::size_t>(k)); };
  EXPECT_EQ(parse(text, from_table)->nodes()[0]->attr<Tensor>("value").data(), big.data());
  EXPECT_NE(print(graph).find("float32[100]#"), std::string::npos);
  EXPECT_THROW(parse(print(graph), options()), Error);
}

TEST(GraphText, EveryPrefixAndMutationIsRefusedOrRead) {
  const std::string text = print(*sample());
  for (std::size_t n = 0; n + 1 < text.size(); ++n) EXPECT_THROW(parse(text.substr(0, n), options()), Error) << n;
  std::uint32_t random = 1;
  const auto next = [&] { return random = random * 1664525u + 1013904223u, random >> 8; };
  for (int round = 0; round < 3000; ++round) {
    std::string mutated = text;
    for (unsigned k = 0; k <= next() % 3; ++k) {
      const std::size_t place = next() % mutated.size();
      switch (next() % 3) {
        case 0:
          mutated[place] = static_cast<char>(next() % 128);
          break;
        case 1:
          mutated.erase(place, 1 + next() % 5);
          break;
        default:
          mutated.insert(place, text.substr(next() % text.size(), next() % 9));
      }
      if (mutated.empty()) mutated = "x";
    }
    try {
      parse(mutated, options());
    } catch (const Error&) {
    }
  }
}

TEST(GraphText, HostileSizesAllocateNothing) {
  const auto graph = [](std::string value) {
    return "graph \"g\"\nn0 = const \"c\" {value: " + value + "} () -> float32[]\nparameters ()\noutputs (n0)\ncontrols ()\nend\n";
  };
  EXPECT_NO_THROW(parse(graph("float32[4]{=1}"), options()));
  EXPECT_THROW(parse(graph("float32[9223372036854775807,9]{=1}"), options()), Error);
  EXPECT_THROW(parse(graph("float32[99999999]{=1}"), options()), Error);
  EXPECT_THROW(parse(graph("float32[999999999999]{1, 2}"), options()), Error);
  EXPECT_THROW(parse(graph("uint8[4]x\"00\""), options()), Error);
  EXPECT_THROW(parse(graph("resource[1]{1}"), options()), Error);
  EXPECT_THROW(parse(graph("&\"f\"{a: &\"f\"{a: &\"f\"{a: &\"f\"{a: &\"f\"{a: &\"f\"{a: &\"f\"{a: &\"f\"{a: &\"f\"{a: &\"f\"{}}}}}}}}}}"),
                     options()),
               Error);
}

TEST(Verify, FindsBrokenGraphs) {
  const auto broken = [](auto change) {
    auto graph = sample();
    change(*graph);
    EXPECT_THROW(verify(*graph), Error);
  };
  EXPECT_NO_THROW(verify(*sample()));
  auto other = sample();
  broken([&](Graph& g) { g.nodes()[2]->inputs[0] = other->nodes()[0]->output(); });
  broken([&](Graph& g) { g.nodes()[2]->inputs[0].index = 1; });
  broken([&](Graph& g) { g.nodes()[2]->inputs[0] = g.nodes()[2]->output(); });
  broken([&](Graph& g) { g.nodes()[2]->name = "x"; });
  broken([&](Graph& g) { g.parameters.clear(); });
  broken([&](Graph& g) { g.outputs[0].node = nullptr; });
  broken([&](Graph& g) { g.control_outputs[0] = other->nodes()[2].get(); });
}

}  // namespace
}  // namespace tenon::ir
