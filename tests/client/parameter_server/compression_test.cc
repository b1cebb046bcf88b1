// Packed gradients, beside plain references: the nearest 16-bit floats by search, a sort for the largest elements.
#include "client/parameter_server/compression.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "tests/client/parameter_server/message_of.h"

namespace compression_test {

using parameter_server_test::MessageOf;
using namespace ray::ps::internal;  // NOLINT(google-build-using-namespace): the subject of this file
using ray::ps::Compression;

template <class T>
std::vector<T> RandomGradient(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<T> normal;
  std::vector<T> gradient(size);
  for (T& value : gradient) value = normal(random);
  return gradient;
}

template <class T>
std::vector<T> ThereAndBack(const Compression& compression, const std::vector<T>& gradient, std::vector<T>& residual) {
  std::vector<T> scratch = gradient;
  std::vector<uint8_t> packed(PackedBytes(compression, gradient.size(), sizeof(T)));
  Pack<T>(compression, scratch, residual, packed);
  std::vector<T> arrived(gradient.size());
  Unpack<T>(compression, packed, arrived);
  return arrived;
}

TEST(CompressionTest, EachHalfIsItselfAndNeighboursRoundToTheNearest) {
  for (uint32_t half = 0; half < 0x7c00; ++half) {
    const float value = OfHalf(static_cast<uint16_t>(half));
    ASSERT_EQ(HalfOf(value), half);
    ASSERT_EQ(HalfOf(-value), half | 0x8000);
    if (half + 1 == 0x7c00) break;
    const float next = OfHalf(static_cast<uint16_t>(half + 1));
    ASSERT_LT(value, next);
    const float middle = value + (next - value) / 2;
    ASSERT_EQ(HalfOf(middle), half + (half & 1)) << "a tie goes to the even one";
    ASSERT_EQ(HalfOf(std::nextafter(middle, value)), half);
    ASSERT_EQ(HalfOf(std::nextafter(middle, next)), half + 1);
  }
  EXPECT_EQ(OfHalf(0x3c00), 1.0F);
  EXPECT_EQ(OfHalf(0x7bff), 65504.0F);
  EXPECT_EQ(OfHalf(HalfOf(1e30F)), 65504.0F);
  EXPECT_EQ(OfHalf(HalfOf(-std::numeric_limits<float>::infinity())), -65504.0F);
  EXPECT_TRUE(std::isnan(OfHalf(HalfOf(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(CompressionTest, BytesAreWithinHalfAStepOfTheirBlocksLargest) {
  std::vector<float> gradient = RandomGradient<float>(1000, 1);
  for (size_t i = 256; i < 512; ++i) gradient[i] *= 1e-6F;  // its block has a factor of its own
  std::vector<float> residual(1000);
  const auto arrived = ThereAndBack(Compression::Byte(), gradient, residual);
  for (size_t first = 0; first < 1000; first += kByteBlock) {
    const size_t end = std::min<size_t>(1000, first + kByteBlock);
    float largest = 0;
    for (size_t i = first; i < end; ++i) largest = std::max(largest, std::abs(gradient[i]));
    for (size_t i = first; i < end; ++i) {
      EXPECT_NEAR(arrived[i], gradient[i], largest / 254 * 1.001F);
      EXPECT_NEAR(residual[i], gradient[i] - arrived[i], 1e-6F * largest);
    }
  }
  EXPECT_EQ(PackedBytes(Compression::Byte(), 1000, 4), 1000U + 4 * 4);
  std::vector<float> zeros(300), nothing(300);
  EXPECT_EQ(ThereAndBack(Compression::Byte(), zeros, nothing), zeros);
}

TEST(CompressionTest, TheLargestAreThoseOfASort) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    std::vector<double> gradient = RandomGradient<double>(1 + seed * 7, seed);
    for (double& value : gradient) value = std::round(value * 4);  // many are equal
    std::vector<double> residual(gradient.size());
    const auto arrived = ThereAndBack(Compression::Top(0.1), gradient, residual);
    const auto kept = static_cast<size_t>(std::ceil(0.1 * static_cast<double>(gradient.size())));
    std::vector<double> sorted = gradient;
    std::sort(sorted.begin(), sorted.end(), [](double a, double b) { return std::abs(a) > std::abs(b); });
    double sum = 0, wanted = 0;
    for (size_t i = 0; i < kept; ++i) wanted += std::abs(sorted[i]);
    size_t sent = 0;
    for (size_t i = 0; i < gradient.size(); ++i) {
      sum += std::abs(arrived[i]);
      sent += arrived[i] != 0;
      EXPECT_EQ(arrived[i] + residual[i], gradient[i]);
    }
    EXPECT_EQ(sum, wanted);
    EXPECT_LE(sent, kept);
  }
  EXPECT_EQ(PackedBytes(Compression::Top(0.01), 1000, 4), 10U * 8);
  EXPECT_EQ(PackedBytes(Compression::Top(1e-9), 1000, 4), 8U) << "at least one";
}

// What many gradients lose comes with later ones: the sums agree, but for the loss of the last.
TEST(CompressionTest, TheErrorOfCompressionComesWithTheNextGradient) {
  for (const auto& compression : {Compression::Half(), Compression::Byte(), Compression::Top(0.05)}) {
    constexpr size_t kSize = 600;
    std::vector<double> residual(kSize), sum(kSize), arrived_sum(kSize);
    for (uint64_t round = 0; round < 200; ++round) {
      const auto gradient = RandomGradient<double>(kSize, round);
      const auto arrived = ThereAndBack(compression, gradient, residual);
      for (size_t i = 0; i < kSize; ++i) {
        sum[i] += gradient[i];
        arrived_sum[i] += arrived[i];
      }
    }
    for (size_t i = 0; i < kSize; ++i) EXPECT_NEAR(arrived_sum[i] + residual[i], sum[i], 1e-9);
  }
}

TEST(CompressionTest, AValueThatIsNoNumberArrivesAsOneAndSpoilsNoLaterGradient) {
  for (const auto& compression : {Compression::Half(), Compression::Byte(), Compression::Top(0.5)}) {
    std::vector<float> gradient = {1, std::numeric_limits<float>::quiet_NaN(), 2, 3};
    std::vector<float> residual(4);
    EXPECT_TRUE(std::isnan(ThereAndBack(compression, gradient, residual)[1]));
    for (const float value : residual) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(CompressionTest, BytesThatAreNoGradientAreRefused) {
  std::vector<float> gradient(10);
  EXPECT_EQ(MessageOf([&] { Unpack<float>(Compression::Half(), std::vector<uint8_t>(19), gradient); }),
            "the packed gradient has 19 elements, and 20 were expected");
  const std::vector<uint8_t> far(8, 0xff);
  EXPECT_EQ(MessageOf([&] { Unpack<float>(Compression::Top(0.1), far, gradient); }),
            "a packed gradient names element 4294967295 of 10");
  EXPECT_EQ(MessageOf([] { CheckCompression(Compression::Top(0)); }),
            "the largest elements of a gradient were asked for with a share of 0.000000: it takes one above 0, and at "
            "most 1");
}

}  // namespace compression_test
