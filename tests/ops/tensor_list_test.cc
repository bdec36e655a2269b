#include <gtest/gtest.h>

#include "ops/evaluate.h"

namespace tenon {
namespace {

using namespace test;

constexpr DataType kFloat = DataType::kFloat32;
using Floats = std::vector<float>;

Tensor int32(std::int32_t value) { return Tensor::scalar(value); }

class TensorLists : public testing::Test {
 protected:
  Tensor reserve(Tensor shape, int count) {
    return evaluate(services_, "tensor_list_reserve", {std::move(shape), int32(count)}, typed())[0];
  }
  static ir::Attrs typed() { return attrs({{"element_dtype", kFloat}}); }
  Tensor set(Tensor list, int index, Tensor item) {
    std::vector<Tensor> inputs(3);
    inputs[0] = std::move(list);
    inputs[1] = int32(index);
    inputs[2] = std::move(item);
    return evaluate(services_, "tensor_list_set_item", std::move(inputs), typed())[0];
  }
  Floats get(const Tensor& list, int index, Tensor shape) {
    return values<float>(evaluate(services_, "tensor_list_get_item", {list, int32(index), std::move(shape)}, typed())[0]);
  }
  Tensor stack(const Tensor& list, Tensor shape) { return evaluate(services_, "tensor_list_stack", {list, std::move(shape)}, typed())[0]; }
  MapServices services_;
  Tensor shape_ = vec<std::int32_t>({2});
  Tensor unknown_ = int32(-1);
};

TEST_F(TensorLists, AreValues) {
  const Tensor a = set(reserve(shape_, 2), 0, vec<float>({1, 2}));
  const Tensor b = set(a, 1, vec<float>({3, 4}));
  EXPECT_EQ(get(a, 1, shape_), (Floats{0, 0}));
  EXPECT_EQ(get(b, 1, shape_), (Floats{3, 4}));
  EXPECT_EQ(values<float>(stack(b, unknown_)), (Floats{1, 2, 3, 4}));
}

TEST_F(TensorLists, ReadZerosWhereNothingWasSet) {
  const Tensor list = set(reserve(unknown_, 3), 1, vec<float>({5, 6}));
  EXPECT_EQ(get(list, 0, unknown_), (Floats{0, 0}));  // the shape of the element that is set
  EXPECT_EQ(values<float>(stack(list, unknown_)), (Floats{0, 0, 5, 6, 0, 0}));
  EXPECT_THROW(get(reserve(unknown_, 1), 0, unknown_), Error);
}

TEST_F(TensorLists, KnowTheirBounds) {
  const Tensor list = reserve(shape_, 1);
  EXPECT_THROW(get(list, 1, shape_), Error);
  EXPECT_THROW(get(list, -1, shape_), Error);
  EXPECT_THROW(set(list, 0, vec<float>({1})), Error);
  EXPECT_THROW(reserve(shape_, -1), Error);
}

TEST_F(TensorLists, PushAndPop) {
  Tensor list = evaluate(services_, "tensor_list_empty", {shape_, int32(1)}, typed())[0];
  list = evaluate(services_, "tensor_list_push_back", {list, vec<float>({1, 2})}, typed())[0];
  EXPECT_THROW(evaluate(services_, "tensor_list_push_back", {list, vec<float>({1, 2})}, typed()), Error);  // its maximum is 1
  const auto popped = evaluate(services_, "tensor_list_pop_back", {list, shape_}, typed(), 2);
  EXPECT_EQ(values<float>(popped[1]), (Floats{1, 2}));
  EXPECT_EQ(evaluate(services_, "tensor_list_length", {popped[0]})[0].flat<std::int32_t>()[0], 0);
  EXPECT_EQ(evaluate(services_, "tensor_list_length", {list})[0].flat<std::int32_t>()[0], 1);
  EXPECT_THROW(evaluate(services_, "tensor_list_pop_back", {popped[0], shape_}, typed(), 2), Error);
}

TEST_F(TensorLists, ComeFromTensorsAndConcatenate) {
  const Tensor rows = vec<float>({1, 2, 3, 4, 5, 6}).reshaped({3, 2});
  const Tensor list = evaluate(services_, "tensor_list_from_tensor", {rows, shape_})[0];
  EXPECT_EQ(values<float>(evaluate(services_, "tensor_list_gather", {list, vec<std::int32_t>({2, 0}), shape_}, typed())[0]),
            (Floats{5, 6, 1, 2}));
  const Tensor split = evaluate(services_, "tensor_list_split", {rows, vec<std::int64_t>({-1, 2}), vec<std::int64_t>({1, 2})})[0];
  const auto joined = evaluate(services_, "tensor_list_concat", {split, vec<std::int64_t>({-1, 2}), vec<std::int64_t>({})}, typed(), 2);
  EXPECT_EQ(joined[0].shape(), (Shape{3, 2}));
  EXPECT_EQ(values<std::int64_t>(joined[1]), (std::vector<std::int64_t>{1, 2}));
  EXPECT_THROW(evaluate(services_, "tensor_list_split", {rows, shape_, vec<std::int64_t>({1, 1})}), Error);
}

// A loop that alone holds its list must not copy it: with copies this would move 40,000 * 40,000 / 2 elements.
TEST_F(TensorLists, AreChangedInPlaceByTheirOnlyOwner) {
  constexpr int kCount = 40000;
  Tensor list = reserve(vec<std::int32_t>({}), kCount);
  for (int i = 0; i < kCount; ++i) list = set(std::move(list), i, Tensor::scalar(1.0f));
  EXPECT_EQ(get(list, kCount - 1, vec<std::int32_t>({})), (Floats{1}));
}

class TensorArrays : public testing::Test {
 protected:
  Tensor array(int size, bool dynamic = false, bool clear = true, PartialShape shape = {}) {
    return evaluate(services_, "tensor_array", {int32(size)},
                    attrs({{"dtype", kFloat}, {"dynamic_size", dynamic}, {"clear_after_read", clear}, {"element_shape", shape}}), 2)[0];
  }
  void write(const Tensor& a, int index, Tensor value) { evaluate(services_, "tensor_array_write", {a, int32(index), std::move(value), flow_}); }
  Tensor read(const Tensor& a, int index) { return evaluate(services_, "tensor_array_read", {a, int32(index), flow_}, attrs({{"dtype", kFloat}}))[0]; }
  MapServices services_;
  Tensor flow_ = Tensor::scalar(0.0f);
};

TEST_F(TensorArrays, ReadBackWhatIsWritten) {
  const Tensor a = array(2);
  write(a, 1, vec<float>({1, 2}));
  EXPECT_EQ(values<float>(read(a, 1)), (Floats{1, 2}));
  EXPECT_THROW(read(a, 1), Error);  // cleared
  EXPECT_THROW(read(a, 0), Error);  // not written
  EXPECT_THROW(write(a, 2, vec<float>({1, 2})), Error);
  EXPECT_THROW(write(a, 1, vec<float>({1, 2})), Error);
}

TEST_F(TensorArrays, GrowWhenTheyMay) {
  const Tensor a = array(0, true);
  write(a, 3, vec<float>({1}));
  EXPECT_EQ(evaluate(services_, "tensor_array_size", {a, flow_})[0].flat<std::int32_t>()[0], 4);
}

TEST_F(TensorArrays, ScatterGatherSplitAndConcatenate) {
  const Tensor a = array(3, false, false);
  const Tensor rows = vec<float>({1, 2, 3, 4, 5, 6}).reshaped({3, 2});
  evaluate(services_, "tensor_array_scatter", {a, vec<std::int32_t>({2, 1, 0}), rows, flow_});
  const Tensor got = evaluate(services_, "tensor_array_gather", {a, vec<std::int32_t>({0, 2}), flow_}, attrs({{"dtype", kFloat}}))[0];
  EXPECT_EQ(values<float>(got), (Floats{5, 6, 1, 2}));
  const Tensor b = array(2, false, false);
  evaluate(services_, "tensor_array_split", {b, rows, vec<std::int64_t>({2, 1}), flow_});
  const auto joined = evaluate(services_, "tensor_array_concat", {b, flow_}, attrs({{"dtype", kFloat}}), 2);
  EXPECT_EQ(values<float>(joined[0]), (Floats{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(values<std::int64_t>(joined[1]), (std::vector<std::int64_t>{2, 1}));
}

}  // namespace
}  // namespace tenon
