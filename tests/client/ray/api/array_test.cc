// ray::Array and ray::MutableArray, in process; and the bytes that values become.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <ray/api.h>

#include "tests/client/ray/api/local_mode.h"

namespace array_test {

using ray::internal::RayException;

struct Model {
  std::string name;
  std::vector<ray::Array<float>> layers;
  MSGPACK_DEFINE(name, layers)
};

uintptr_t AddressOf(ray::Array<float> array) { return reinterpret_cast<uintptr_t>(array.data()); }
ray::MutableArray<int32_t> Iota(int n) {
  ray::MutableArray<int32_t> array(n);
  std::iota(array.begin(), array.end(), 0);
  return array;
}
ray::Array<int32_t> IotaSealed(int n) { return Iota(n); }
double Sum(const ray::Array<double>& array) { return std::accumulate(array.begin(), array.end(), 0.0); }
uintptr_t AddressOfLayer(const Model& model) { return reinterpret_cast<uintptr_t>(model.layers.at(0).data()); }
RAY_REMOTE(AddressOf, Iota, IotaSealed, Sum, AddressOfLayer);

class ArrayTest : public ray_test::InLocalMode {};

std::string MessageOf(const std::function<void()>& f) {
  try {
    f();
  } catch (const RayException& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST_F(ArrayTest, ShapeStridesAndIndicesGoRowByRow) {
  ray::MutableArray<int64_t> filling(2, 3, 4);
  std::iota(filling.begin(), filling.end(), 0);
  filling.at(1, 2, 3) = 99;
  const ray::Array<int64_t> array = std::move(filling).Seal();
  EXPECT_EQ(array.size(), 24U);
  EXPECT_EQ(array.ndim(), 3U);
  EXPECT_EQ(std::vector<size_t>(array.shape().begin(), array.shape().end()), (std::vector<size_t>{2, 3, 4}));
  EXPECT_EQ(std::vector<size_t>(array.strides().begin(), array.strides().end()), (std::vector<size_t>{12, 4, 1}));
  EXPECT_EQ(array.at(1, 0, 2), 14);
  EXPECT_EQ(array[23], 99);
  EXPECT_EQ(array.span().back(), 99);
  EXPECT_THROW(array.at(2, 0, 0), RayException);
  EXPECT_THROW(array.at(0, -1, 0), RayException);
  EXPECT_THROW(array.at(0, 0), RayException);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(array.data()) % 64, 0U);
}

TEST_F(ArrayTest, ArraysAreNeverCopied) {
  const auto array = ray::Array<float>::CopyOf(std::vector<float>{1, 2, 3});
  const auto address = reinterpret_cast<uintptr_t>(array.data());
  EXPECT_EQ(*ray::Task(AddressOf).Remote(array).Get(), address);
  EXPECT_EQ(*ray::Task(AddressOf).Remote(ray::Put(array)).Get(), address);
  EXPECT_EQ(*ray::Task(AddressOfLayer).Remote(Model{"m", {array}}).Get(), address);
  const ray::Array<float> copy = array;  // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_EQ(copy.data(), array.data());
}

TEST_F(ArrayTest, MovingAMutableArraySealsIt) {
  EXPECT_EQ(ray::Task(Iota).Remote(5).Get()->at(4), 4);
  EXPECT_EQ(ray::Task(IotaSealed).Remote(5).Get()->at(4), 4);
  ray::MutableArray<double> terms(3);
  for (double& term : terms) term = 2;
  EXPECT_EQ(*ray::Task(Sum).Remote(std::move(terms)).Get(), 6);
  ray::MutableArray<double> stored(1);
  stored[0] = 4;
  EXPECT_EQ(ray::Put(std::move(stored)).Get()->at(0), 4);
}

TEST_F(ArrayTest, PutWithItsTypeNamedTakesAnyValue) {
  EXPECT_EQ(*ray::Put<std::vector<std::string>>({"a", "b"}).Get(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*ray::Put<int>(3).Get(), 3);
  const auto array = ray::Array<float>::CopyOf(std::vector<float>{1, 2});
  EXPECT_EQ(ray::Put<ray::Array<float>>(array).Get()->at(1), 2);
}

TEST_F(ArrayTest, ASealedMutableArrayHasNoMemoryLeft) {
  ray::MutableArray<float> array(4);
  auto sealed = std::move(array).Seal();
  EXPECT_EQ(array.data(), nullptr);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(array.size(), 0U);
  EXPECT_THROW(std::move(array).Seal(), RayException);
}

TEST_F(ArrayTest, AnArrayLivesAsLongAsAnythingNamesIt) {
  auto stored = ray::Put(Model{"m", {ray::Array<float>::CopyOf(std::vector<float>{7})}});
  auto layer = stored.Get()->layers.at(0);
  stored = {};
  EXPECT_EQ(layer.at(0), 7);
}

TEST_F(ArrayTest, EmptyArraysTravel) {
  EXPECT_EQ(ray::Put(ray::Array<float>()).Get()->size(), 0U);
  EXPECT_EQ(ray::Task(Iota).Remote(0).Get()->size(), 0U);
}

TEST_F(ArrayTest, WrongElementTypeIsRefusedNamingBoth) {
  const auto floats = ray::Put(ray::Array<float>::CopyOf(std::vector<float>{1}));
  const std::string message = MessageOf([&] { ray::ObjectRef<ray::Array<double>>(floats.ID()).Get(); });
  EXPECT_NE(message.find("float32"), std::string::npos) << message;
  EXPECT_NE(message.find("float64"), std::string::npos) << message;
}

TEST_F(ArrayTest, ShapesThatNoMemoryHoldsAreRefused) {
  EXPECT_THROW(ray::MutableArray<double>(std::numeric_limits<int64_t>::max(), 16), RayException);
  EXPECT_THROW(ray::MutableArray<double>(-1), RayException);
  const std::vector<size_t> nine(9, 1);
  EXPECT_THROW(ray::MutableArray<double>(std::span<const size_t>(nine)), RayException);
}

// Storage with whatever header and size the test wants.
class FakeStorage : public ray::internal::ArrayStorage {
 public:
  FakeStorage(std::string header, size_t bytes) : ArrayStorage(nullptr), header_(std::move(header)), bytes_(bytes) {}
  const void* data() const override { return nullptr; }
  void* mutable_data() override { return nullptr; }
  size_t size_bytes() const override { return bytes_; }
  std::string_view metadata() const override { return header_; }
  void Seal() override {}

 private:
  std::string header_;
  size_t bytes_;
};

TEST(ArrayHeader, HeaderThatDoesNotFitIsRefused) {
  using namespace ray::internal;
  const size_t sizes[] = {2, 3};
  const ArrayShape shape = MakeArrayShape(sizes, 4);
  const std::string good = EncodeArrayHeader(shape, Dtype::kFloat32);
  EXPECT_EQ(DecodeArrayHeader(FakeStorage(good, 24), Dtype::kFloat32, 4).count, 6U);
  EXPECT_THROW(DecodeArrayHeader(FakeStorage(good, 23), Dtype::kFloat32, 4), RayException);
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_THROW(DecodeArrayHeader(FakeStorage(good.substr(0, length), 24), Dtype::kFloat32, 4), RayException);
  std::string huge = good;
  for (size_t i = 4; i < huge.size(); ++i) huge[i] = '\xff';
  EXPECT_THROW(DecodeArrayHeader(FakeStorage(huge, 24), Dtype::kFloat32, 4), RayException);
  std::string deep = good;
  deep[2] = '\x7f';
  EXPECT_THROW(DecodeArrayHeader(FakeStorage(deep, 24), Dtype::kFloat32, 4), RayException);
}

TEST(Serializer, PlainNumbersAreRawBytes) {
  using namespace ray::internal;
  const std::vector<float> values{1, 2, 3};
  const std::string bytes = PackBytes(values);
  ASSERT_EQ(bytes.size(), kElementsHeaderBytes + 12);
  EXPECT_EQ(std::memcmp(bytes.data() + kElementsHeaderBytes, values.data(), 12), 0);
  EXPECT_EQ(UnpackBytes<std::vector<float>>(bytes), values);
  const std::string shifted = "x" + bytes;
  EXPECT_EQ(UnpackBytes<std::vector<float>>(std::string_view(shifted).substr(1)), values);
  EXPECT_EQ((UnpackBytes<std::array<float, 3>>(bytes)), (std::array<float, 3>{1, 2, 3}));
}

TEST(Serializer, ValueThatDoesNotFitNamesTheType) {
  using namespace ray::internal;
  const std::string floats = PackBytes(std::vector<float>{1});
  const std::string message = MessageOf([&] { UnpackBytes<std::vector<double>>(floats); });
  EXPECT_NE(message.find("std::vector<double"), std::string::npos) << message;
  EXPECT_NE(message.find("float32"), std::string::npos) << message;
  EXPECT_THROW((UnpackBytes<std::array<float, 2>>(floats)), RayException);
  EXPECT_THROW(UnpackBytes<int>(floats), RayException);
  EXPECT_THROW(UnpackBytes<std::string>(floats), RayException);
  EXPECT_THROW(UnpackBytes<int>(PackBytes(std::string("x"))), RayException);
  EXPECT_THROW(UnpackBytes<int>(PackBytes(std::map<int, int>())), RayException);
  EXPECT_THROW(UnpackBytes<int>(""), RayException);
  EXPECT_THROW(UnpackBytes<int>(PackBytes(1) + "x"), RayException);
  EXPECT_THROW(UnpackBytes<std::vector<float>>(floats.substr(0, floats.size() - 1)), RayException);
}

TEST(Serializer, BytesThatClaimTooMuchAreRefused) {
  using namespace ray::internal;
  EXPECT_THROW((UnpackBytes<std::map<int, int>>(std::string("\x01\xdf\xff\xff\xff\xff", 6))), RayException);
  EXPECT_THROW((UnpackBytes<std::vector<std::string>>(std::string("\x01\xdd\xff\xff\xff\xff", 6))), RayException);
  EXPECT_THROW((UnpackBytes<std::vector<std::string>>("\x01" + std::string(100000, '\x91'))), RayException);
}

TEST(Serializer, ThePublicOneIsPlainMsgpack) {
  const msgpack::sbuffer buffer = ray::internal::Serializer::Serialize(std::string("ab"));
  EXPECT_EQ(std::string(buffer.data(), buffer.size()),
            "\xa2"
            "ab");
  EXPECT_EQ(ray::internal::Serializer::Deserialize<std::string>(buffer.data(), buffer.size()), "ab");
  EXPECT_THROW(ray::internal::Serializer::Deserialize<int>(buffer.data(), buffer.size()), RayException);
}

}  // namespace array_test
