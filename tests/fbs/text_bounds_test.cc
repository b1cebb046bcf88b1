#include "fbs/text_bounds.h"

#include <gtest/gtest.h>

#include "fbs/messages.h"

namespace raylet {
namespace {

TEST(TextBounds, AShortTextStaysAndALongOneKeepsItsBeginningAndSaysItsSize) {
  EXPECT_EQ(Shortened("text", 4), "text");
  const std::string cut = Shortened(std::string(2000, 'x'), 100);
  EXPECT_EQ(cut.size(), 100u);
  EXPECT_TRUE(cut.starts_with("xxx"));
  EXPECT_TRUE(cut.ends_with("... (2000 bytes in all)"));
  EXPECT_EQ(Shortened(cut, 100), cut) << "a text that was cut is not cut again";
}

TEST(TextBounds, EveryFailureFitsOnceItIsShortened) {
  wire::FailureT failure;
  const std::string text(size_t{1} << 20, 'x');
  for (std::string* const each :
       {&failure.message, &failure.function, &failure.exception_type, &failure.what, &failure.hint})
    *each = text;
  Shorten(failure);
  EXPECT_LE(Encode(failure).size(), kFailureBytesMax);
  EXPECT_EQ(failure.message.size(), kFailureMessageBytesMax);
  EXPECT_EQ(failure.hint.size(), kFailureTextBytesMax);
}

}  // namespace
}  // namespace raylet
