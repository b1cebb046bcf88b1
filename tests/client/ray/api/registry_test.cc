// RAY_REMOTE, RAY_FUNC and the registry behind them.
#include <gtest/gtest.h>

#include "tests/client/ray/api/same_line.h"

int InFile() { return 42; }

RAY_REMOTE(InFile);

#include <map>
#include <string>
#include <vector>

#include "client/ray/api/function_names.h"
#include "client/ray/api/function_registry.h"
#include "tests/client/ray/api/local_mode.h"

namespace {

using ray::internal::RayException;
using ray::internal::RayFunctionNotFound;

int Overloaded() { return 0; }
int Overloaded(int x) { return x; }
int Overloaded(int x, std::map<int, int>) { return x + 100; }
int Quiet(int x) noexcept { return x; }
int NeverRegistered() { return 1; }

struct Qualified {
  static Qualified* Create() { return new Qualified(); }
  int Plain() { return 1; }
  int Const() const { return 2; }
  int Volatile() volatile { return 3; }
  int Left() & { return 4; }
  int Right() && { return 5; }
  int ConstRight() const&& { return 6; }
  int Silent() noexcept { return 7; }
  int Many(int x) { return x; }
  int Many(std::string text) const { return static_cast<int>(text.size()); }
};

RAY_REMOTE(RAY_FUNC(Overloaded), RAY_FUNC(Overloaded, int), RAY_FUNC(Overloaded, int, std::map<int, int>), Quiet);
RAY_REMOTE(Qualified::Create, &Qualified::Plain, &Qualified::Const, &Qualified::Volatile, &Qualified::Left,
           &Qualified::Right, &Qualified::ConstRight, &Qualified::Silent, RAY_FUNC(&Qualified::Many, int),
           RAY_FUNC(&Qualified::Many, std::string));

class RegistryTest : public ray_test::InLocalMode {};

TEST_F(RegistryTest, MacrosOnTheSameLineOfTwoFilesDoNotCollide) {
  EXPECT_EQ(*ray::Task(InHeader).Remote().Get(), 41);
  EXPECT_EQ(*ray::Task(InFile).Remote().Get(), 42);
}

TEST_F(RegistryTest, RayFuncPicksAnOverload) {
  EXPECT_EQ(*ray::Task(RAY_FUNC(Overloaded)).Remote().Get(), 0);
  EXPECT_EQ(*ray::Task(RAY_FUNC(Overloaded, int)).Remote(7).Get(), 7);
  EXPECT_EQ(*ray::Task(RAY_FUNC(Overloaded, int, std::map<int, int>)).Remote(7, std::map<int, int>()).Get(), 107);
}

TEST_F(RegistryTest, NoexceptFunctionsAreTheSameHoweverTheyAreNamed) {
  EXPECT_EQ(*ray::Task(Quiet).Remote(3).Get(), 3);
  EXPECT_EQ(*ray::Task(RAY_FUNC(Quiet, int)).Remote(4).Get(), 4);
}

TEST_F(RegistryTest, MethodsOfEveryQualifierAreCalled) {
  auto actor = ray::Actor(Qualified::Create).Remote();
  EXPECT_EQ(*actor.Task(&Qualified::Plain).Remote().Get(), 1);
  EXPECT_EQ(*actor.Task(&Qualified::Const).Remote().Get(), 2);
  EXPECT_EQ(*actor.Task(&Qualified::Volatile).Remote().Get(), 3);
  EXPECT_EQ(*actor.Task(&Qualified::Left).Remote().Get(), 4);
  EXPECT_EQ(*actor.Task(&Qualified::Right).Remote().Get(), 5);
  EXPECT_EQ(*actor.Task(&Qualified::ConstRight).Remote().Get(), 6);
  EXPECT_EQ(*actor.Task(RAY_FUNC(&Qualified::Silent)).Remote().Get(), 7);
  EXPECT_EQ(*actor.Task(RAY_FUNC(&Qualified::Many, int)).Remote(8).Get(), 8);
  EXPECT_EQ(*actor.Task(RAY_FUNC(&Qualified::Many, std::string)).Remote("four").Get(), 4);
}

TEST_F(RegistryTest, TheSameFunctionUnderTheSameNameIsOneRegistration) {
  EXPECT_NO_THROW(ray::internal::RegisterRemote("InFile", InFile));
  EXPECT_EQ(*ray::Task(InFile).Remote().Get(), 42);
}

TEST_F(RegistryTest, TheSameFunctionUnderAnotherNameThrows) {
  EXPECT_THROW(ray::internal::RegisterRemote("AnotherName", InFile), RayException);
}

TEST_F(RegistryTest, ANameTakenByAnotherFunctionThrows) {
  EXPECT_THROW(ray::internal::RegisterRemote("InFile", NeverRegistered), RayException);
}

TEST_F(RegistryTest, ALibraryOfTheProgramsOwnSourcesChangesNothing) {
  auto& registry = raylet::client::FunctionRegistry::Instance();
  registry.SetKeepFirst(true);
  EXPECT_NO_THROW(ray::internal::RegisterRemote("InFile", InHeader));
  registry.SetKeepFirst(false);
  EXPECT_EQ(*ray::Task(InFile).Remote().Get(), 42);
}

TEST_F(RegistryTest, AnUnregisteredFunctionIsRefusedAtTask) {
  try {
    ray::Task(NeverRegistered);
    FAIL() << "nothing was thrown";
  } catch (const RayFunctionNotFound& e) {
    EXPECT_NE(std::string(e.what()).find("RAY_REMOTE"), std::string::npos);
    EXPECT_TRUE(e.retry_safe());
  }
}

TEST(FunctionNames, SplitAtOuterCommasOnly) {
  using raylet::client::SplitAtOuterCommas;
  EXPECT_EQ(SplitAtOuterCommas("f, &C::m ,RAY_FUNC(g, int, std::map<int, int>)"),
            (std::vector<std::string>{"f", "&C::m", "RAY_FUNC(g, int, std::map<int, int>)"}));
  EXPECT_EQ(SplitAtOuterCommas("&C::operator<, &C::operator(), &T<int, 2>::f"),
            (std::vector<std::string>{"&C::operator<", "&C::operator()", "&T<int, 2>::f"}));
}

}  // namespace
