#include "ops/tables.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "ops/evaluate.h"

namespace tenon {
namespace {

using namespace test;
using Ints = std::vector<std::int64_t>;

class Tables : public testing::Test {
 protected:
  Tensor table(const char* op, DataType key, DataType value, ir::Attrs more = {}) {
    more.set("key_dtype", key);
    more.set("value_dtype", value);
    return evaluate(services_, op, {}, std::move(more), 1, std::string(op))[0];
  }
  Tensor find(const Tensor& t, Tensor keys, Tensor fallback) {
    return evaluate(services_, "table_find", {t, std::move(keys), std::move(fallback)})[0];
  }
  MapServices services_;
};

TEST_F(Tables, FindKeysOrTheDefault) {
  const Tensor t = table("hash_table", DataType::kString, DataType::kInt64);
  EXPECT_THROW(find(t, strings({"a"}), Tensor::scalar<std::int64_t>(-1)), Error);  // not initialised
  evaluate(services_, "table_insert", {t, strings({"a", "b"}), vec<std::int64_t>({1, 2})}, {}, 0);
  const Tensor found = find(t, strings({"b", "x", "a", ""}).reshaped({2, 2}), Tensor::scalar<std::int64_t>(-1));
  EXPECT_EQ(found.shape(), (Shape{2, 2}));
  EXPECT_EQ(values<std::int64_t>(found), (Ints{2, -1, 1, -1}));
  EXPECT_EQ(evaluate(services_, "table_size", {t})[0].flat<std::int64_t>()[0], 2);
  EXPECT_THROW(find(t, vec<std::int64_t>({1}), Tensor::scalar<std::int64_t>(-1)), Error);
  EXPECT_THROW(evaluate(services_, "table_insert", {t, strings({"a"}), vec<std::int64_t>({7})}, {}, 0), Error);
}

TEST_F(Tables, ThatAreMutableForgetAndReplace) {
  const Tensor t = table("mutable_hash_table", DataType::kInt64, DataType::kFloat32, attrs({{"value_shape", Shape{2}}}));
  evaluate(services_, "table_insert", {t, vec<std::int64_t>({1, 2}), vec<float>({1, 1, 2, 2}).reshaped({2, 2})}, {}, 0);
  evaluate(services_, "table_insert", {t, vec<std::int64_t>({1}), vec<float>({5, 6}).reshaped({1, 2})}, {}, 0);
  EXPECT_EQ(values<float>(find(t, vec<std::int64_t>({1, 3}), vec<float>({0, 9}))), (std::vector<float>{5, 6, 0, 9}));
  evaluate(services_, "table_remove", {t, vec<std::int64_t>({1, 9})}, {}, 0);
  const auto entries = evaluate(services_, "table_export", {t}, {}, 2);
  EXPECT_EQ(values<std::int64_t>(entries[0]), (Ints{2}));
  EXPECT_EQ(entries[1].shape(), (Shape{1, 2}));
  evaluate(services_, "table_import", {t, vec<std::int64_t>({8}), vec<float>({3, 4}).reshaped({1, 2})}, {}, 0);
  EXPECT_EQ(evaluate(services_, "table_size", {t})[0].flat<std::int64_t>()[0], 1);
}

TEST_F(Tables, GrowWithoutLosingEntries) {
  const Tensor t = table("mutable_hash_table", DataType::kString, DataType::kString);
  for (int i = 0; i < 1000; ++i) {
    evaluate(services_, "table_insert", {t, strings({"k" + std::to_string(i)}), strings({"v" + std::to_string(i)})}, {}, 0);
  }
  EXPECT_EQ(values<std::string>(find(t, strings({"k0", "k999"}), Tensor::scalar<std::string>("none"))),
            (std::vector<std::string>{"v0", "v999"}));
}

class VocabularyFile : public Tables {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() / ("tenon_vocabulary_" + std::to_string(::getpid()));
    std::ofstream(path_) << "one\t1\r\ntwo\t2\nthree\t3";
  }
  void TearDown() override { std::filesystem::remove(path_); }
  void fill(const Tensor& t, std::int64_t key, std::int64_t value, std::int64_t size = -1, std::int64_t offset = 0) {
    evaluate(services_, "table_initialize_from_file", {t, Tensor::scalar<std::string>(path_.string())},
             attrs({{"key_index", key}, {"value_index", value}, {"vocab_size", size}, {"offset", offset}}), 0);
  }
  std::filesystem::path path_;
};

TEST_F(VocabularyFile, GivesColumnsLinesAndNumbers) {
  const Tensor columns = table("anonymous_hash_table", DataType::kString, DataType::kInt64);
  fill(columns, 0, 1);
  EXPECT_EQ(values<std::int64_t>(find(columns, strings({"three", "one"}), Tensor::scalar<std::int64_t>(-1))), (Ints{3, 1}));
  const Tensor numbers = table("anonymous_hash_table", DataType::kInt64, DataType::kString);
  fill(numbers, -1, 0, 2, 10);
  EXPECT_EQ(values<std::string>(find(numbers, vec<std::int64_t>({10, 11, 12}), Tensor::scalar<std::string>("?"))),
            (std::vector<std::string>{"one", "two", "?"}));
  const Tensor lines = table("anonymous_hash_table", DataType::kString, DataType::kInt64);
  fill(lines, -2, -1);
  EXPECT_EQ(values<std::int64_t>(find(lines, strings({"one\t1"}), Tensor::scalar<std::int64_t>(-1))), (Ints{0}));
}

TEST_F(VocabularyFile, IsRefusedWhenItDoesNotFit) {
  const Tensor t = table("anonymous_hash_table", DataType::kString, DataType::kInt64);
  EXPECT_THROW(fill(t, 0, 2), Error);       // no such column
  EXPECT_THROW(fill(t, 1, 0), Error);       // "one" is no number
  EXPECT_THROW(fill(t, 0, 1, 4), Error);    // fewer lines
  EXPECT_THROW(fill(t, -1, 0), Error);      // line numbers are int64
}

}  // namespace
}  // namespace tenon
