// Random graphs against the reference: aliases, slices, concatenations and values overwritten in place must not disturb one another.
#include "cpu/engine_fixture.h"

namespace tenon::test {
namespace {

class RandomGraph {
 public:
  explicit RandomGraph(unsigned seed) : random_(seed) {}

  // Values are [batch, 4, 6, channels] with various channels; some nodes use several, some values are outputs as well.
  std::unique_ptr<ir::Graph> make(int nodes) {
    SymbolSource symbols;
    const Dim batch = pick(2) == 0 ? symbols.fresh() : Dim(2);
    values_.push_back({builder_.parameter(DataType::kFloat32, {batch, 4, 6, 8}), 8});
    values_.push_back({builder_.parameter(DataType::kFloat32, {batch, 4, 6, 5}, "y"), 5});
    for (int i = 0; i < nodes; ++i) add_node();
    std::vector<ir::Value> outputs = {values_.back().value};
    for (int i = 0; i < 3; ++i) outputs.push_back(any().value);
    return builder_.finish(outputs);
  }

 private:
  struct Item {
    ir::Value value;
    std::int64_t channels;
  };

  int pick(int count) { return static_cast<int>(random_() % static_cast<unsigned>(count)); }
  // Recent values more often.
  Item any() {
    const int last = static_cast<int>(values_.size()) - 1;
    return values_[static_cast<std::size_t>(pick(3) == 0 ? pick(last + 1) : std::max(0, last - pick(4)))];
  }
  ir::Value ints(std::vector<std::int32_t> list) { return builder_.constant(Tensor::vector<std::int32_t>(list)); }
  ir::Value weights(Shape shape) { return builder_.constant(random_tensor(std::move(shape), random_(), 0.4f)); }
  void keep(ir::Value value, std::int64_t channels) { values_.push_back({value, channels}); }

  void add_node() {
    const Item x = any();
    switch (pick(12)) {
      case 0:
        return keep(builder_.op("tanh", {x.value}), x.channels);
      case 1:
        return keep(builder_.op("relu", {builder_.op("neg", {x.value})}), x.channels);
      case 2:
        return add_pair(x);
      case 3:
      case 4:
        return add_concat(x);
      case 5:
        return add_slice(x);
      case 6:
        return add_conv(x);
      case 7:
        return keep(builder_.op("softmax", {x.value}), x.channels);
      case 8:
        return add_reshape(x);
      case 9:
        return keep(builder_.op("fused_matmul", {x.value, weights({x.channels, 7})}), 7);
      case 10:
        return keep(builder_.op("max_pool", {x.value}, attrs({{"ksize", std::vector<std::int64_t>{1, 3, 3, 1}},
                                                             {"strides", std::vector<std::int64_t>{1, 1, 1, 1}},
                                                             {"padding", std::string("SAME")}})),
                    x.channels);
      default:
        return keep(builder_.op("identity", {x.value}), x.channels);
    }
  }

  void add_pair(const Item& x) {
    for (int attempt = 0; attempt < 5; ++attempt) {
      const Item y = any();
      if (y.channels == x.channels) return keep(builder_.op(pick(2) ? "add" : "mul", {x.value, y.value}), x.channels);
    }
    keep(builder_.op("add", {x.value, weights({x.channels})}), x.channels);
  }

  void add_concat(const Item& x) {
    std::vector<ir::Value> parts = {x.value};
    std::int64_t channels = x.channels;
    for (int i = pick(3); i >= 0; --i) {
      const Item y = any();
      parts.push_back(y.value);
      channels += y.channels;
    }
    if (channels > 60) return;
    parts.push_back(builder_.constant(Tensor::scalar<std::int32_t>(pick(2) ? 3 : -1)));
    keep(builder_.op("concat", parts), channels);
  }

  void add_slice(const Item& x) {
    if (x.channels < 2) return;
    const std::int32_t from = pick(static_cast<int>(x.channels) - 1);
    const auto count = static_cast<std::int32_t>(1 + pick(static_cast<int>(x.channels) - from));
    keep(builder_.op("slice", {x.value, ints({0, 0, 0, from}), ints({-1, 4, 6, count})}), count);
  }

  void add_conv(const Item& x) {
    ir::Attrs a = attrs({{"strides", std::vector<std::int64_t>{1, 1}}, {"dilations", std::vector<std::int64_t>{1, 1}},
                         {"padding", std::string("SAME")}, {"activation", std::string("relu")}});
    std::vector<ir::Value> operands = {x.value, weights({3, 3, x.channels, x.channels})};
    if (pick(2)) {
      a.set("residual", std::string(pick(2) ? "before" : "after"));
      operands.push_back(x.value);
    }
    keep(builder_.op("fused_conv2d", operands, a), x.channels);
  }

  // To two dimensions and back.
  void add_reshape(const Item& x) {
    const auto channels = static_cast<std::int32_t>(x.channels);
    const ir::Value flat = builder_.op("reshape", {x.value, ints({-1, 6 * channels})});
    const ir::Value changed = pick(2) ? flat : builder_.op("sigmoid", {flat});
    keep(builder_.op("reshape", {changed, ints({-1, 4, 6, channels})}), x.channels);
  }

  std::mt19937 random_;
  GraphBuilder builder_;
  std::vector<Item> values_;
};

TEST(RandomGraph, GivesWhatTheReferenceGives) {
  for (unsigned seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    const auto graph = RandomGraph(seed).make(6 + static_cast<int>(seed % 25));
    CompileOptions options;
    options.measure = false;
    check(*graph, {random_tensor({2, 4, 6, 8}, seed), random_tensor({2, 4, 6, 5}, seed + 1)}, 1e-4, options);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace tenon::test
