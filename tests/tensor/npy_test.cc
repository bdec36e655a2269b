#include "tenon/npy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tenon/error.h"

namespace tenon {
namespace {

std::string npy(const std::string& header, const std::string& data) {
  std::string padded = header + "\n";
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(padded.size() & 0xff);
  bytes += static_cast<char>(padded.size() >> 8);
  return bytes + padded + data;
}

std::string bytes_of(std::initializer_list<int> values) {
  std::string out;
  for (int v : values) out += static_cast<char>(v);
  return out;
}

class NpyFile : public testing::Test {
 protected:
  std::filesystem::path path_ = std::filesystem::temp_directory_path() / ("tenon_npy_test_" + std::to_string(::getpid()));
  void TearDown() override { std::filesystem::remove(path_); }
};

TEST(Npy, ReadsColumnMajorOrder) {
  const Tensor t = parse_npy(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", bytes_of({1, 4, 2, 5, 3, 6})), "t");
  ASSERT_EQ(t.shape(), (Shape{2, 3}));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(t.flat<std::uint8_t>()[static_cast<size_t>(i)], i + 1);
}

TEST(Npy, ReadsForeignByteOrder) {
  const Tensor t = parse_npy(npy("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }", bytes_of({1, 2, 0, 3})), "t");
  EXPECT_EQ(t.flat<std::int16_t>()[0], 258);
  EXPECT_EQ(t.flat<std::int16_t>()[1], 3);
}

TEST(Npy, ReadsUnicodeAsUtf8) {
  const Tensor t =
      parse_npy(npy("{'descr': '<U2', 'fortran_order': False, 'shape': (), }", bytes_of({'a', 0, 0, 0, 0xe9, 0, 0, 0})), "t");
  EXPECT_EQ(t.flat<std::string>()[0], "a\xc3\xa9");
}

TEST(Npy, ReadsTwoByteVoidAsBfloat16) {
  const Tensor t = parse_npy(npy("{'descr': '<V2', 'fortran_order': False, 'shape': (1,), }", bytes_of({0x80, 0x3f})), "t");
  ASSERT_EQ(t.dtype(), DataType::kBFloat16);
  EXPECT_EQ(static_cast<float>(t.flat<BFloat16>()[0]), 1.0f);
}

TEST(Npy, RefusesHostileFiles) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  for (const std::string& bytes : {
           std::string(), std::string("\x93NUMPY"), npy(good, "1234567"), npy("{'descr': '|O', 'fortran_order': False, 'shape': (), }", ""),
           npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", ""),
           npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "1234"),
           npy("{'descr': '|S0', 'fortran_order': False, 'shape': (1099511627776,), }", ""),
           npy("{'descr': '<f3', 'fortran_order': False, 'shape': (1,), }", "123"),
           npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "1234"), npy("{'descr'", ""), npy("", ""),
           npy(good, "12345678").substr(0, 30)}) {
    EXPECT_THROW(parse_npy(bytes, "t"), Error);
  }
  EXPECT_EQ(parse_npy(npy(good, "12345678"), "t").num_elements(), 2);
}

TEST_F(NpyFile, WritesWhatItReads) {
  Tensor strings(DataType::kString, Shape{2});
  strings.flat<std::string>()[1] = "longer";
  const std::map<std::string, Tensor> tensors = {{"a", Tensor::scalar(2.5f)},
                                                 {"b", Tensor::vector<std::int64_t>(std::vector<std::int64_t>{1, -2})},
                                                 {"empty", Tensor(DataType::kFloat32, Shape{0, 3})},
                                                 {"strings", strings}};
  write_npz(path_, tensors);
  const auto read = read_npz(path_);
  ASSERT_EQ(read.size(), 4u);
  EXPECT_EQ(read.at("a").rank(), 0);
  EXPECT_EQ(read.at("a").flat<float>()[0], 2.5f);
  EXPECT_EQ(read.at("b").flat<std::int64_t>()[1], -2);
  EXPECT_EQ(read.at("empty").shape(), (Shape{0, 3}));
  EXPECT_EQ(read.at("strings").flat<std::string>()[1], "longer");
  write_npy(path_, tensors.at("b"));
  EXPECT_EQ(read_npy(path_).describe(), "int64[2]");
}

TEST_F(NpyFile, RefusesDamagedArchives) {
  write_npz(path_, {{"a", Tensor::scalar(2.5f)}});
  std::string bytes;
  {
    std::ifstream stream(path_, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(stream), {});
  }
  ASSERT_EQ(parse_npz(bytes, "t").size(), 1u);
  for (size_t length = 0; length < bytes.size(); ++length) EXPECT_THROW(parse_npz(bytes.substr(0, length), "t"), Error);
  for (size_t i = 0; i < bytes.size(); ++i) {  // any answer will do, but no crash and no huge allocation
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      try {
        parse_npz(damaged, "t");
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace tenon
