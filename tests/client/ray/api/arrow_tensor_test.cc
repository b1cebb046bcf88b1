#include "client/ray/api/arrow_tensor.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "fbs/arrow_generated.h"
#include "tests/client/ray/api/arrow_messages.h"

namespace ray::internal {
namespace {

namespace ipc = raylet::arrow_ipc;

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string MessageOf(const ArrayShape& shape, Dtype dtype) {
  std::string message(TensorHeaderBytes(dtype, shape.ndim), '?');
  WriteTensorHeader(shape, dtype, std::as_writable_bytes(std::span(message)));
  return message + std::string(shape.count * ElementBytes(dtype), 'e');
}

ArrayShape Shape(const std::vector<size_t>& sizes, Dtype dtype) { return *ShapeOf(sizes, ElementBytes(dtype)); }

std::string WhyNot(const std::string& message) {
  const auto parsed = ParseTensorMessage(Bytes(message));
  if (parsed) return "it was taken";
  EXPECT_EQ(parsed.error().code, raylet::ErrorCode::kProtocolError);
  return parsed.error().message;
}

void ExpectTold(const std::string& message, const std::string& reason) {
  const std::string why = WhyNot(message);
  EXPECT_NE(why.find(reason), std::string::npos) << why;
}

constexpr Dtype kAllTypes[] = {Dtype::kBool,   Dtype::kInt8,    Dtype::kInt16,  Dtype::kInt32,
                               Dtype::kInt64,  Dtype::kUint8,   Dtype::kUint16, Dtype::kUint32,
                               Dtype::kUint64, Dtype::kFloat32, Dtype::kFloat64};

TEST(ArrowTensor, ATensorIsReadAsItWasWritten) {
  for (const Dtype dtype : kAllTypes) {
    std::vector<size_t> sizes;
    for (size_t ndim = 0; ndim <= kArrayDimensionsMax; ++ndim) {
      const ArrayShape shape = Shape(sizes, dtype);
      const std::string message = MessageOf(shape, dtype);
      for (const bool quickly : {false, true}) {
        auto parsed = ParseTensorMessage(Bytes(message));
        ASSERT_TRUE(parsed) << parsed.error().message;
        if (quickly) {
          parsed->shape = {};
          ASSERT_TRUE(ReadOwnTensor(Bytes(message), dtype, parsed->shape, parsed->elements_at));
          const Dtype another = dtype == Dtype::kInt16 ? Dtype::kUint8 : Dtype::kInt16;
          ArrayShape no_shape;
          size_t nowhere = 0;
          ASSERT_FALSE(ReadOwnTensor(Bytes(message), another, no_shape, nowhere));
        }
        EXPECT_EQ(parsed->dtype, dtype);
        EXPECT_EQ(parsed->shape.sizes, shape.sizes);
        EXPECT_EQ(parsed->shape.strides, shape.strides);
        EXPECT_EQ(parsed->shape.ndim, ndim);
        EXPECT_EQ(parsed->shape.count, shape.count);
        EXPECT_EQ(parsed->elements_at, message.find('e', TensorHeaderBytes(dtype, ndim)));
        EXPECT_EQ(parsed->elements_at % kMessageAlignment, 0U);
      }
      sizes.push_back(1 + ndim % 3);
    }
  }
}

TEST(ArrowTensor, ATensorWithoutElementsIsRead) {
  const auto parsed = ParseTensorMessage(Bytes(MessageOf(Shape({4, 0, 3}, Dtype::kInt32), Dtype::kInt32)));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->shape.count, 0U);
  EXPECT_EQ(parsed->shape.sizes[0], 4U);
}

// Other programs read these bytes, and other releases of this one.
TEST(ArrowTensor, TheHeaderIsAlwaysTheSameBytes) {
  const std::string header = MessageOf(Shape({2, 3}, Dtype::kFloat32), Dtype::kFloat32);
  EXPECT_EQ(arrow_messages::Hex(header.substr(0, header.size() - 24)), arrow_messages::kOurHeader);
  const std::string bools = MessageOf(Shape({5}, Dtype::kBool), Dtype::kBool);
  EXPECT_EQ(arrow_messages::Hex(bools.substr(0, bools.size() - 5)), arrow_messages::kOurHeaderOfBools);
}

TEST(ArrowTensor, TensorsThatArrowItselfWritesAreRead) {
  for (const auto& sample : arrow_messages::kByPyarrow) {
    const std::string message = arrow_messages::FromHex(sample.hex);
    const auto parsed = ParseTensorMessage(Bytes(message));
    ASSERT_TRUE(parsed) << sample.what << ": " << parsed.error().message;
    EXPECT_EQ(DtypeName(parsed->dtype), std::string(sample.dtype)) << sample.what;
    EXPECT_EQ(ShapeText({parsed->shape.sizes.data(), parsed->shape.ndim}), sample.shape) << sample.what;
    EXPECT_EQ(parsed->elements_at % kMessageAlignment, 0U) << sample.what;
    const auto elements = message.substr(parsed->elements_at, parsed->shape.count * ElementBytes(parsed->dtype));
    EXPECT_EQ(arrow_messages::Hex(elements), sample.elements) << sample.what;
  }
}

TEST(ArrowTensor, ArrowsTensorsThatAnArrayCannotShowAreRefused) {
  for (const auto& sample : arrow_messages::kRefusedByUs)
    ExpectTold(arrow_messages::FromHex(sample.hex), sample.reason);
}

TEST(ArrowTensor, AMessageThatIsCutOrTooLongIsRefused) {
  const std::string message = MessageOf(Shape({2, 3}, Dtype::kInt16), Dtype::kInt16);
  for (size_t length = 0; length < message.size(); ++length)
    EXPECT_NE(WhyNot(message.substr(0, length)), "it was taken");
  ExpectTold(message + "x", "its body has 13 bytes, and its metadata says 12");
}

// Every byte set to several others: refused, or the elements lie within the message all the same.
TEST(ArrowTensor, DamageNeverLeadsOutOfTheMessage) {
  size_t taken = 0;
  for (const Dtype dtype : {Dtype::kBool, Dtype::kInt64}) {
    const std::string good = MessageOf(Shape({2, 3}, dtype), dtype);
    for (size_t at = 0; at < good.size(); ++at) {
      for (const int other : {0x00, 0x01, 0x7f, 0x80, 0xff, good[at] ^ 0x10, good[at] + 1, good[at] + 8}) {
        std::string bad = good;
        bad[at] = static_cast<char>(other);
        const auto parsed = ParseTensorMessage(Bytes(bad));
        ArrayShape quick;
        size_t elements_at = 0;
        if (ReadOwnTensor(Bytes(bad), dtype, quick, elements_at)) {
          ASSERT_TRUE(parsed && parsed->dtype == dtype);
          ASSERT_EQ(parsed->shape.sizes, quick.sizes);
          ASSERT_EQ(parsed->elements_at, elements_at);
        }
        if (!parsed) continue;
        ++taken;
        ASSERT_LE(parsed->shape.ndim, kArrayDimensionsMax);
        ASSERT_LE(parsed->elements_at, bad.size());
        ASSERT_LE(parsed->shape.count * ElementBytes(parsed->dtype), bad.size() - parsed->elements_at);
      }
    }
  }
  EXPECT_GT(taken, 0U);  // damage of elements or padding
}

// The numbers of a message, for a test to change.
struct Said {
  ipc::MetadataVersion version = ipc::MetadataVersion::V5;
  int bits = 32;
  std::vector<int64_t> sizes = {2, 3}, strides = {12, 4};
  int64_t offset = 0, length = 24, body_length = 24;
  bool has_tensor = true;

  std::string Message() const {
    flatbuffers::FlatBufferBuilder builder;
    const auto type = ipc::CreateInt(builder, bits, true).Union();
    std::vector<flatbuffers::Offset<ipc::TensorDim>> dimensions;
    for (const int64_t size : sizes) dimensions.push_back(ipc::CreateTensorDim(builder, size));
    const ipc::Buffer data(offset, length);
    const auto shape = builder.CreateVector(dimensions);
    const auto stride_list = builder.CreateVector(strides);
    const auto tensor = ipc::CreateTensor(builder, ipc::Type::Int, type, shape, stride_list, &data);
    builder.Finish(ipc::CreateMessage(builder, version,
                                      has_tensor ? ipc::MessageHeader::Tensor : static_cast<ipc::MessageHeader>(5),
                                      tensor.Union(), body_length));
    const uint32_t prefix[] = {0xffffffff, builder.GetSize()};
    return std::string(reinterpret_cast<const char*>(prefix), sizeof prefix) +
           std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()) +
           std::string(24, 'e');
  }
};

std::string Changed(const std::function<void(Said&)>& change) {
  Said said;
  change(said);
  return said.Message();
}

TEST(ArrowTensor, EachNumberOfAMessageIsChecked) {
  EXPECT_EQ(WhyNot(Said().Message()), "it was taken");
  EXPECT_EQ(WhyNot(Changed([](Said& said) { said.strides = {}; })), "it was taken");
  ExpectTold(Changed([](Said& said) { said.version = ipc::MetadataVersion::V3; }), "version 3");
  ExpectTold(Changed([](Said& said) { said.has_tensor = false; }), "another kind, 5");
  ExpectTold(Changed([](Said& said) { said.bits = 24; }), "its elements are neither");
  ExpectTold(Changed([](Said& said) { said.sizes = {2, -3}; }), "the size of dimension 1 is -3");
  ExpectTold(Changed([](Said& said) { said.sizes.assign(9, 1); }), "9 dimensions");
  ExpectTold(Changed([](Said& said) { said.sizes = {INT64_MAX, INT64_MAX}; }), "larger than any memory");
  ExpectTold(Changed([](Said& said) { said.sizes = {2, 4}; }), "the stride of dimension 0 is 12 bytes, and 16");
  ExpectTold(Changed([](Said& said) { said.sizes = {3, 3}; }), "takes 36 bytes, and it has 24");
  ExpectTold(Changed([](Said& said) { said.strides = {4, 8}; }), "row by row");
  ExpectTold(Changed([](Said& said) { said.strides = {12}; }), "1 stride for 2 dimensions");
  ExpectTold(Changed([](Said& said) { said.body_length = 23; }), "its metadata says 23");
  ExpectTold(Changed([](Said& said) { said.body_length = -1; }), "its metadata says -1");
  ExpectTold(Changed([](Said& said) { said.offset = -8; }), "said to lie at -8");
  ExpectTold(Changed([](Said& said) { said.offset = 8; }), "said to lie at 8");
  ExpectTold(Changed([](Said& said) { said.offset = INT64_MAX; }), "said to lie at");
  ExpectTold(Changed([](Said& said) { said.length = INT64_MAX; }), "said to lie at");
  ExpectTold(Changed([](Said& said) { said.length = 12; }), "takes 24 bytes, and it has 12");
}

// The stride of a dimension says nothing where there is no second element along it.
TEST(ArrowTensor, StridesThatNobodyTakesMayBeAny) {
  const auto one_row = Changed([](Said& said) {
    said.sizes = {1, 6};
    said.strides = {7, 4};
  });
  EXPECT_EQ(WhyNot(one_row), "it was taken");
  const auto none = Changed([](Said& said) {
    said.sizes = {0, 6};
    said.strides = {7, 7};
    said.length = 0;
  });
  EXPECT_EQ(WhyNot(none), "it was taken");
}

TEST(ArrowTensor, MetadataOfAnyLengthIsNotCopied) {
  std::string message = MessageOf(Shape({1}, Dtype::kInt8), Dtype::kInt8);
  const uint32_t length = kTensorMetadataBytesMax + 8;
  std::memcpy(message.data() + 4, &length, sizeof length);
  message.resize(2 * length);
  ExpectTold(message, "its metadata takes 4104 bytes, and may take 4096");
  message[7] = '\xff';
  ExpectTold(message, "are left");
}

}  // namespace
}  // namespace ray::internal
