#include <gtest/gtest.h>

#include <complex>
#include <fstream>
#include <numeric>

#include "base/error.h"
#include "base/file.h"
#include "savedmodel/bundle_writer.h"
#include "savedmodel/table.h"
#include "savedmodel/temporary.h"
#include "savedmodel/tensor_slice.h"
#include "savedmodel/variables.h"

namespace tenon::saved {
namespace {

const std::filesystem::path kData = std::filesystem::path(TENON_SOURCE_DIR) / "tests/savedmodel/data";

template <class F>
std::string error_of(F&& action) {
  try {
    action();
  } catch (const Error& error) {
    return fmt::format("{}: {}", error_code_name(error.code()), error.what());
  }
  return "nothing was thrown";
}

template <class T>
std::vector<double> numbers(const Tensor& tensor) {
  std::vector<double> values;
  for (const T& value : tensor.flat<T>()) values.push_back(static_cast<double>(value));
  return values;
}

Tensor iota(Shape shape) {
  Tensor tensor(DataType::kFloat32, std::move(shape));
  std::iota(tensor.flat<float>().begin(), tensor.flat<float>().end(), 0.0f);
  return tensor;
}

TEST(Bundle, ReadsEveryDtypeThatTensorFlowWrites) {
  const Bundle bundle = Bundle::open(kData / "every_dtype");
  const std::vector<double> wanted{0, 1, 2};
  EXPECT_EQ(numbers<float>(bundle.read("float32")), wanted);
  EXPECT_EQ(numbers<double>(bundle.read("float64")), wanted);
  EXPECT_EQ(numbers<std::int32_t>(bundle.read("int32")), wanted);
  EXPECT_EQ(numbers<std::uint8_t>(bundle.read("uint8")), wanted);
  EXPECT_EQ(numbers<std::int16_t>(bundle.read("int16")), wanted);
  EXPECT_EQ(numbers<std::int8_t>(bundle.read("int8")), wanted);
  EXPECT_EQ(numbers<std::int64_t>(bundle.read("int64")), wanted);
  EXPECT_EQ(numbers<bool>(bundle.read("bool")), (std::vector<double>{0, 1, 1}));
  EXPECT_EQ(numbers<BFloat16>(bundle.read("bfloat16")), wanted);
  EXPECT_EQ(numbers<Half>(bundle.read("half")), wanted);
  EXPECT_EQ(numbers<std::uint16_t>(bundle.read("uint16")), wanted);
  EXPECT_EQ(numbers<std::uint32_t>(bundle.read("uint32")), wanted);
  EXPECT_EQ(numbers<std::uint64_t>(bundle.read("uint64")), wanted);
  EXPECT_EQ(numbers<std::uint8_t>(bundle.read("quint8")), wanted);
  EXPECT_EQ(bundle.read("quint8").dtype(), DataType::kQUInt8);
  EXPECT_EQ(bundle.read("complex64").flat<std::complex<float>>()[2], std::complex<float>(2));
  EXPECT_EQ(bundle.read("complex128").flat<std::complex<double>>()[1], std::complex<double>(1));
  EXPECT_EQ(numbers<std::uint8_t>(bundle.read("float8_e5m2")), (std::vector<double>{0, 0x3c, 0x40}));
  EXPECT_EQ(bundle.read("scalar").shape(), Shape{});
  EXPECT_EQ(bundle.read("scalar").flat<float>()[0], 7.5f);
  EXPECT_EQ(bundle.read("empty").describe(), "float32[0,4]");
  EXPECT_EQ(bundle.read("string").flat<std::string>()[1], std::string("a\0b", 3));
  EXPECT_EQ(bundle.read("string").flat<std::string>()[2].size(), 500u);
}

TEST(Bundle, PutsPartitionedVariablesTogether) {
  const Bundle bundle = Bundle::open(kData / "partitioned");
  ASSERT_EQ(bundle.entries().size(), 2u);
  EXPECT_EQ(bundle.find("part")->slices.size(), 3u);
  const Tensor whole = bundle.read("part");
  ASSERT_EQ(whole.describe(), "float32[10,4]");
  for (int i = 0; i < 40; ++i) EXPECT_EQ(whole.flat<float>()[static_cast<std::size_t>(i)], static_cast<float>(i));
  EXPECT_EQ(bundle.read("tall").flat<std::int64_t>()[599], 599);
}

TEST(Bundle, ReadsSlices) {
  const Bundle bundle = Bundle::open(kData / "partitioned");
  EXPECT_EQ(numbers<float>(bundle.read("part", "10 4 4,3:-")), numbers<float>(bundle.read("part").rows(4, 3)));
  EXPECT_EQ(numbers<float>(bundle.read("part", "10 4 3,2:1,2")), (std::vector<double>{13, 14, 17, 18}));
  EXPECT_EQ(numbers<std::int64_t>(bundle.read("tall", "300 2 299,1:0,2")), (std::vector<double>{598, 599}));
  EXPECT_NE(error_of([&] { bundle.read("part", "10 5 -:-"); }).find("its shape is [10,4]"), std::string::npos);
  EXPECT_NE(error_of([&] { bundle.read("part", "10 4 8,3:-"); }).find("does not lie"), std::string::npos);
  EXPECT_NE(error_of([&] { bundle.read("part", "10 4 x,3:-"); }).find("is no size"), std::string::npos);
}

TEST(Bundle, SaysWhatIsMissing) {
  EXPECT_EQ(error_of([] { Bundle::open("/no/such/bundle"); }).substr(0, 9), "not_found");
  EXPECT_EQ(error_of([] { Bundle::open(kData / "every_dtype").read("nothing"); }).substr(0, 9), "not_found");
}

class WrittenBundle : public ::testing::TestWithParam<bool> {
 protected:
  testing::TemporaryFolder folder_;
  std::filesystem::path prefix_ = folder_ / "variables";
};

TEST_P(WrittenBundle, IsReadBack) {
  BundleWriter writer(prefix_, {.shards = 3, .compress_index = GetParam()});
  for (int i = 0; i < 500; ++i) {
    writer.add(fmt::format("layer_{}/kernel/.ATTRIBUTES/VARIABLE_VALUE", i), Tensor::scalar(static_cast<float>(i)), i % 3);
  }
  Tensor strings(DataType::kString, Shape{2, 2});
  strings.flat<std::string>()[3] = std::string(100000, 'x');
  writer.add("strings", strings, 1);
  writer.add("big", iota({1000, 70}));
  writer.add("none", Tensor(DataType::kInt64, Shape{3, 0}));
  writer.finish();
  const Bundle bundle = Bundle::open(prefix_);
  bundle.verify();
  EXPECT_EQ(bundle.entries().size(), 503u);
  EXPECT_EQ(bundle.files().size(), 4u);
  EXPECT_EQ(bundle.read("layer_123/kernel/.ATTRIBUTES/VARIABLE_VALUE").flat<float>()[0], 123.0f);
  EXPECT_EQ(bundle.read("strings").flat<std::string>()[3].size(), 100000u);
  EXPECT_EQ(bundle.read("big").flat<float>()[69999], 69999.0f);
  EXPECT_EQ(bundle.read("none").describe(), "int64[3,0]");
}

TEST_P(WrittenBundle, HoldsSlicesOfAnyRank) {
  const Tensor whole = iota({5, 3, 4});
  BundleWriter writer(prefix_, {.shards = 2, .compress_index = GetParam()});
  for (std::int64_t start : {0, 2}) {
    for (std::int64_t column : {0, 1}) {
      const TensorSlice slice{{{start, start == 0 ? 2 : 3}, {}, {column * 3, column == 0 ? 3 : 1}}};
      const TensorSlice box = resolve(slice, whole.shape(), "test");
      Tensor part(DataType::kFloat32, slice_shape(box));
      copy_overlap(whole, resolve({std::vector<TensorSlice::Extent>(3)}, whole.shape(), "test"), part, box);
      writer.add_slice("v", whole.shape(), slice, part, static_cast<int>(column));
    }
  }
  writer.finish();
  EXPECT_EQ(numbers<float>(Bundle::open(prefix_).read("v")), numbers<float>(whole));
}

INSTANTIATE_TEST_SUITE_P(Compression, WrittenBundle, ::testing::Bool());

TEST(Bundle, ReadsBeyondFourGigabytes) {
  const testing::TemporaryFolder folder;
  const std::int64_t rows = 1 << 20;
  BundleWriter writer(folder / "variables");
  writer.add_zeros("big", DataType::kFloat32, Shape{rows, 1100});  // 4.6 GB in no blocks
  writer.add("behind", Tensor::scalar(3.0f));
  writer.finish();
  Bundle bundle = Bundle::open(folder / "variables");
  EXPECT_EQ(bundle.read("behind").flat<float>()[0], 3.0f);
  EXPECT_GT(bundle.find("behind")->offset, std::int64_t{1} << 32);
  bundle.set_verify_on_read(false);
  const Tensor big = bundle.read("big");
  EXPECT_EQ(big.byte_size(), static_cast<std::size_t>(rows) * 4400);
  EXPECT_EQ(big.rows(rows - 1, 1).flat<float>()[1099], 0.0f);
}

TEST(Bundle, MapsWhatIsAligned) {
  const testing::TemporaryFolder folder;
  BundleWriter writer(folder / "variables");
  writer.add("a", iota({1000}));
  writer.finish();
  const Bundle bundle = Bundle::open(folder / "variables");
  EXPECT_EQ(bundle.read("a").data(), bundle.read("a").data());
  EXPECT_FALSE(bundle.read("a").sole_owner());
}

class DamagedBundle : public ::testing::Test {
 protected:
  DamagedBundle() {
    BundleWriter writer(folder_ / "v");
    writer.add("a", iota({100}));
    writer.add("b", Tensor(DataType::kString, Shape{4}));
    writer.finish();
    index_ = read_file(folder_ / "v.index");
    data_ = read_file(folder_ / "v.data-00000-of-00001");
  }
  std::string read(std::string_view key) {
    return error_of([&] { Bundle::from_memory(index_, {data_}, nullptr).read(key); });
  }
  testing::TemporaryFolder folder_;
  std::string index_, data_;
};

TEST_F(DamagedBundle, FlippedBitsInDataAreFound) {
  data_[17] ^= 4;
  EXPECT_EQ(read("a"), "invalid_model: \"memory\": variable \"a\": its checksum is wrong; the file is damaged");
  EXPECT_EQ(read("b"), "nothing was thrown");
}

TEST_F(DamagedBundle, MayBeReadUnchecked) {
  data_[17] ^= 4;
  Bundle bundle = Bundle::from_memory(index_, {data_}, nullptr);
  bundle.set_verify_on_read(false);
  EXPECT_TRUE(bundle.read("a").valid());
}

TEST_F(DamagedBundle, ShortDataIsFound) {
  data_.resize(200);
  EXPECT_NE(read("a").find("reach past the end of the shard (200 bytes)"), std::string::npos);
}

TEST_F(DamagedBundle, EveryFlippedBitOfTheIndexIsFound) {
  const std::string good = index_;
  int harmless = 0;
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    index_ = good;
    index_[bit / 8] = static_cast<char>(index_[bit / 8] ^ (1 << (bit % 8)));
    const std::string error = read("a");
    EXPECT_TRUE(error == "nothing was thrown" || error.starts_with("invalid_model") || error.starts_with("unsupported"))
        << error;
    harmless += error == "nothing was thrown";
  }
  EXPECT_LT(harmless, 8 * (48 + 13));  // padding in the footer, and the block of meta data, which nobody reads
}

TEST_F(DamagedBundle, EveryShorterIndexIsFound) {
  for (std::size_t size = 0; size < index_.size(); ++size) {
    EXPECT_TRUE(
        error_of([&] { Bundle::from_memory(index_.substr(0, size), {data_}, nullptr); }).starts_with("invalid_model"));
  }
}

TEST(Bundle, ClaimsOfTooMuchAreRefused) {
  TableBuilder table(false);
  table.add("", std::string("\x08\x01", 2));
  // A float32 tensor of 2^40 elements in two parts, of which nothing is there.
  table.add("v", std::string("\x08\x01\x12\x09\x12\x07\x08\x80\x80\x80\x80\x80\x20\x3a\x00\x3a\x00", 17));
  const std::string index = table.finish();
  const std::string error = error_of([&] { Bundle::from_memory(index, {"shard"}, nullptr).read("v"); });
  EXPECT_NE(error.find("elements are said to be in 5 bytes"), std::string::npos) << error;
}

TEST(Table, GivesEveryEntryBack) {
  TableBuilder a(false);
  for (int i = 0; i < 100; ++i) a.add(fmt::format("{:03d}", i), "value");
  int count = 0;
  for_each_table_entry(a.finish(), [&](std::string_view, std::string_view value) { count += value == "value"; });
  EXPECT_EQ(count, 100);
}

}  // namespace
}  // namespace tenon::saved
