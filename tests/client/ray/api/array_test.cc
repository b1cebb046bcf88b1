// ray::Array and ray::MutableArray, in process; and the bytes that values become.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <ray/api.h>

#include "tests/client/message_of.h"
#include "tests/client/ray/api/local_mode.h"

namespace array_test {

using ray::internal::RayException;
using ray_test::MessageOf;

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

// Storage with whatever bytes the test wants.
class FakeStorage : public ray::internal::ArrayStorage {
 public:
  explicit FakeStorage(std::string bytes) : ArrayStorage(nullptr), bytes_(std::move(bytes)) {}
  const void* data() const override { return bytes_.data(); }
  void* mutable_data() override { return nullptr; }
  size_t size_bytes() const override { return bytes_.size(); }
  void Seal() override {}

 private:
  std::string bytes_;
};

std::string BytesOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_F(ArrayTest, AnArrayIsTheArrowMessageOfATensor) {
  ray::MutableArray<int16_t> filling(2, 3);
  std::iota(filling.begin(), filling.end(), int16_t{10});
  const ray::Array<int16_t> array = std::move(filling).Seal();
  const std::span<const std::byte> message = array.tensor_message();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(message.data()) % 64, 0U);
  EXPECT_EQ(BytesOf(message.first(4)), "\xff\xff\xff\xff");
  // In place: behind the header, and the last thing in the message.
  EXPECT_EQ(reinterpret_cast<const std::byte*>(array.data() + array.size()), message.data() + message.size());
  EXPECT_TRUE(ray::Array<int16_t>().tensor_message().empty());
}

TEST_F(ArrayTest, ATensorMessageIsCopiedIntoAnArray) {
  ray::MutableArray<double> filling(3, 1, 2);
  std::iota(filling.begin(), filling.end(), 0.5);
  const ray::Array<double> array = std::move(filling).Seal();
  // From anywhere, aligned or not.
  const std::string shifted = "x" + BytesOf(array.tensor_message());
  const auto copy = ray::Array<double>::CopyOfTensorMessage(std::as_bytes(std::span(shifted)).subspan(1));
  EXPECT_NE(copy.data(), array.data());
  EXPECT_TRUE(std::ranges::equal(copy.shape(), array.shape()));
  EXPECT_TRUE(std::ranges::equal(copy.span(), array.span()));
  const std::string message =
      MessageOf([&] { ray::Array<int64_t>::CopyOfTensorMessage(std::as_bytes(std::span(shifted)).subspan(1)); });
  EXPECT_NE(message.find("float64"), std::string::npos) << message;
  EXPECT_NE(message.find("int64"), std::string::npos) << message;
  EXPECT_THROW(ray::Array<double>::CopyOfTensorMessage(std::as_bytes(std::span(shifted))), RayException);
  EXPECT_THROW(ray::Array<double>::CopyOfTensorMessage({}), RayException);
}

TEST_F(ArrayTest, ATensorOfBoolsHoldsNothingElse) {
  const bool values[] = {true, false, true};
  std::string message = BytesOf(ray::Array<bool>::CopyOf(values).tensor_message());
  EXPECT_FALSE(ray::Array<bool>::CopyOfTensorMessage(std::as_bytes(std::span(message))).at(1));
  message.back() = 2;
  const std::string why = MessageOf([&] { ray::Array<bool>::CopyOfTensorMessage(std::as_bytes(std::span(message))); });
  EXPECT_NE(why.find("element 2 of this tensor is 2"), std::string::npos) << why;
  EXPECT_THROW(ray::Array<uint8_t>::CopyOfTensorMessage(std::as_bytes(std::span(message))), RayException);
}

TEST_F(ArrayTest, AnObjectThatIsNoArrayIsRefused) {
  using namespace ray::internal;
  const std::string good = BytesOf(ray::Array<float>::CopyOf(std::vector<float>{1, 2}).tensor_message());
  ArrayShape shape;
  EXPECT_EQ(OpenArray(std::make_shared<FakeStorage>(good), Dtype::kFloat32, shape).elements_at, good.size() - 8);
  EXPECT_EQ(shape.count, 2U);
  EXPECT_THROW(OpenArray(std::make_shared<FakeStorage>(good), Dtype::kInt32, shape), RayException);
  for (const std::string& bad : {std::string(), good.substr(0, good.size() - 1), good + "x", std::string(300, 'V')}) {
    const std::string why = MessageOf([&] { OpenArray(std::make_shared<FakeStorage>(bad), Dtype::kFloat32, shape); });
    EXPECT_NE(why.find("an array of float32 was expected"), std::string::npos) << why;
  }
}

// A message may be valid and still not fit: here the metadata is 8 bytes longer, and the elements come 8 bytes later.
TEST_F(ArrayTest, ElementsThatAreNotAlignedAreOnlyCopied) {
  using namespace ray::internal;
  std::string message = BytesOf(ray::Array<float>::CopyOf(std::vector<float>{1, 2}).tensor_message());
  message.insert(message.size() - 8, 8, '\0');
  message[4] = static_cast<char>(message[4] + 8);
  ArrayShape shape;
  const std::string why = MessageOf([&] { OpenArray(std::make_shared<FakeStorage>(message), Dtype::kFloat32, shape); });
  EXPECT_NE(why.find("64-byte aligned"), std::string::npos) << why;
  EXPECT_EQ(ray::Array<float>::CopyOfTensorMessage(std::as_bytes(std::span(message))).at(1), 2);
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
