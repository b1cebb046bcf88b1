#include "store/flag_forms.h"

#include <gtest/gtest.h>

namespace raylet::store {
namespace {

using Words = std::vector<std::string>;

TEST(FlagForms, EachFormOfPlasmasFlagsIsOurs) {
  const Words ours = {"-m", "10", "-s", "/run/x=y"};
  EXPECT_EQ(InOurForms({"-m", "10", "-s", "/run/x=y"}), ours);
  EXPECT_EQ(InOurForms({"-m=10", "-s=/run/x=y"}), ours);
  EXPECT_EQ(InOurForms({"--m", "10", "--s", "/run/x=y"}), ours);
  EXPECT_EQ(InOurForms({"--m=10", "--s=/run/x=y"}), ours);
  EXPECT_EQ(InOurForms({"-d=/dev/shm", "--e=x"}), Words({"-d", "/dev/shm", "-e", "x"}));
}

TEST(FlagForms, HugePagesAreAYesOrNo) {
  for (const char* const yes : {"-h", "--h", "-h=true", "--h=1"}) EXPECT_EQ(InOurForms({yes}), Words({"-h"})) << yes;
  for (const char* const no : {"-h=false", "--h=0", "-noh", "--noh"}) EXPECT_EQ(InOurForms({no}), Words()) << no;
}

TEST(FlagForms, OtherWordsStay) {
  const Words words = {"--memory", "10", "--memory=10", "-m10", "--help", "m", "h", "-", "--", "", "-x=1"};
  EXPECT_EQ(InOurForms(words), words);
}

}  // namespace
}  // namespace raylet::store
