#include "plan/graph_codec.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "ops/registry.h"

namespace tenon::plan {
namespace {

std::unique_ptr<ir::Graph> sample() {
  auto graph = std::make_unique<ir::Graph>("net");
  ir::Attrs attrs;
  attrs.set("dtype", DataType::kFloat32);
  attrs.set("shape", PartialShape{Dim::symbol(4), 3});
  ir::Node* x = graph->add(ops::op("parameter"), "x", {}, attrs);
  x->outputs[0] = {DataType::kFloat32, {Dim::symbol(4), 3}};
  graph->parameters = {x};
  ir::Attrs value;
  Tensor tensor(DataType::kFloat32, {2, 3});
  for (std::size_t i = 0; i < 6; ++i) tensor.flat<float>()[i] = static_cast<float>(i);
  value.set("value", tensor);
  ir::Node* c = graph->add(ops::op("const"), "c", {}, value);
  c->outputs[0] = {DataType::kFloat32, Shape{2, 3}};
  ir::Attrs every;
  every.set("i", std::int64_t{-7});
  every.set("f", 0.5f);
  every.set("b", true);
  every.set("s", std::string("text"));
  every.set("none", ir::EmptyList{});
  every.set("ints", std::vector<std::int64_t>{1, -2});
  every.set("bools", std::vector<bool>{true, false});
  every.set("strings", std::vector<std::string>{"a", ""});
  every.set("shapes", std::vector<PartialShape>{{}, {1, Dim::symbol(2)}});
  every.set("tensors", std::vector<Tensor>{tensor, Tensor::scalar<std::string>("deep")});
  ir::Node* add = graph->add(ops::op("add"), "sum", {x->output(), c->output()}, every);
  add->origin.op_type = "AddV2";
  add->origin.merged = {"bias"};
  add->outputs[0] = {DataType::kFloat32, {Dim::symbol(4), 3}};
  graph->outputs = {add->output(), x->output()};
  return graph;
}

struct Encoded {
  std::string graph;
  std::shared_ptr<Tensor> blob;  // aligned
  std::string_view view() const { return {static_cast<const char*>(blob->data()), blob->byte_size()}; }
};

Encoded encode(const ir::Graph& graph) {
  BlobWriter writer;
  Encoded encoded{encode_graph(graph, writer), nullptr};
  const std::string blob = writer.take();
  encoded.blob = std::make_shared<Tensor>(DataType::kUInt8, Shape{static_cast<std::int64_t>(blob.size())});
  std::memcpy(encoded.blob->data(), blob.data(), blob.size());
  return encoded;
}

std::unique_ptr<ir::Graph> decode(const Encoded& encoded) {
  return decode_graph(encoded.graph, encoded.view(), encoded.blob, [](std::string_view name) { return ops::find_op(name); });
}

TEST(GraphCodec, GivesTheGraphAgain) {
  const Encoded encoded = encode(*sample());
  const auto graph = decode(encoded);
  EXPECT_EQ(encode(*graph).graph, encoded.graph);
  ASSERT_EQ(graph->size(), 3u);
  const ir::Node* sum = graph->find("sum");
  EXPECT_EQ(sum->origin.op_type, "AddV2");
  EXPECT_EQ(sum->attr<std::vector<std::string>>("strings"), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(graph->outputs.at(0).node, sum);
  EXPECT_EQ(graph->parameters.at(0)->name, "x");
}

TEST(GraphCodec, StoresEqualTensorsOnceAndUsesThemInPlace) {
  const Encoded encoded = encode(*sample());
  EXPECT_EQ(encoded.view().size(), 24u);
  const auto graph = decode(encoded);
  EXPECT_EQ(graph->find("c")->attr<Tensor>("value").data(), encoded.blob->data());
}

TEST(GraphCodec, RefusesFunctionsAndResources) {
  auto graph = sample();
  graph->find("sum")->attrs.set("f", ir::FunctionRef{"body", nullptr});
  BlobWriter blob;
  EXPECT_THROW(encode_graph(*graph, blob), Error);
}

TEST(GraphCodec, NeverTrustsItsBytes) {
  const Encoded encoded = encode(*sample());
  for (std::size_t i = 0; i < encoded.graph.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      Encoded damaged = encoded;
      damaged.graph[i] = static_cast<char>(damaged.graph[i] ^ flip);
      try {
        decode(damaged);
      } catch (const Error& error) {
        EXPECT_NE(error.code(), ErrorCode::kInternal);
      }
    }
    Encoded cut = encoded;
    cut.graph.resize(i);
    EXPECT_THROW(decode(cut), Error);
  }
}

}  // namespace
}  // namespace tenon::plan
