// The names that programs written for Ray's C++ API use besides tasks, actors and objects.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include <ray/api.h>
#include <ray/api/actor_task_caller.h>
#include <ray/api/arguments.h>
#include <ray/api/common_types.h>
#include <ray/api/internal_api.h>
#include <ray/api/msgpack_adaptor.h>
#include <ray/api/overload.h>
#include <ray/api/ray_exception.h>
#include <ray/api/ray_runtime.h>
#include <ray/api/ray_runtime_holder.h>
#include <ray/api/static_check.h>
#include <ray/api/type_traits.h>
#include <ray/api/xlang_function.h>

#include "tests/client/ray/api/local_mode.h"
#include "tests/client/ray/api/twice.h"

namespace names_test {

using ray::internal::FunctionManager;
using ray::internal::RayException;
using ray::internal::Serializer;

double Half(double x) { return x / 2; }
int Doubled(int x) { return 2 * x; }
size_t SizeOf(std::string_view text) { return text.size(); }
std::string Joined(const std::string_view& one, std::string_view other, std::string third) {
  return std::string(one) + std::string(other) + third;
}
int OrSeven(std::optional<int> x) { return x.value_or(7); }
int ByOwnName() { return 9; }
int ByNoName() { return 10; }

// As singletons are written.
class Guarded {
 public:
  static Guarded* Create() { return new Guarded(); }
  size_t Length(std::string_view text) { return text.size(); }
  std::string Shown(const std::string_view& text) const { return std::string(text); }

 private:
  Guarded() = default;
  ~Guarded() = default;
};

RAY_REMOTE(Half, Doubled, SizeOf, Joined, OrSeven, Guarded::Create, &Guarded::Length, &Guarded::Shown);

class NamesTest : public ray_test::InLocalMode {};

TEST_F(NamesTest, AReferenceToANumberIsTheArgumentForAnotherKindOfNumber) {
  EXPECT_EQ(*ray::Task(Half).Remote(ray::Put(3)).Get(), 1.5);
  EXPECT_EQ(*ray::Task(Half).Remote(ray::Put(3.0f)).Get(), 1.5);
  EXPECT_EQ(*ray::Task(Doubled).Remote(ray::Put(4.0)).Get(), 8) << "a whole double";
  EXPECT_EQ(*ray::Task(Doubled).Remote(ray::Put(int64_t{5})).Get(), 10);
  EXPECT_EQ(*ray::Task(OrSeven).Remote(ray::Put(5)).Get(), 5);
  EXPECT_THROW(ray::Task(Doubled).Remote(ray::Put(4.5)).Get(), RayException) << "no int";
  EXPECT_THROW(ray::Task(Doubled).Remote(ray::Put(int64_t{1} << 40)).Get(), RayException);
  EXPECT_THROW(ray::Task(Doubled).Remote(ray::Put(1e300)).Get(), RayException);
}

TEST_F(NamesTest, ViewsOfTextAreParameters) {
  const std::string text = "a long enough text to live on the heap";
  EXPECT_EQ(*ray::Task(SizeOf).Remote(text).Get(), text.size());
  EXPECT_EQ(*ray::Task(SizeOf).Remote("four").Get(), 4U);
  EXPECT_EQ(*ray::Task(SizeOf).Remote(std::string_view("fives")).Get(), 5U);
  EXPECT_EQ(*ray::Task(SizeOf).Remote(ray::Put(text)).Get(), text.size());
  EXPECT_EQ(*ray::Task(Joined).Remote(text, "b", std::string_view("c")).Get(), text + "bc");
}

TEST_F(NamesTest, AnActorMayHaveAPrivateDestructor) {
  auto actor = ray::Actor(Guarded::Create).Remote();
  EXPECT_EQ(*actor.Task(&Guarded::Length).Remote("four").Get(), 4U);
  EXPECT_EQ(*actor.Task(&Guarded::Shown).Remote("shown").Get(), "shown");
}

TEST_F(NamesTest, IdsBecomeReferencesAndHandles) {
  const ray::ObjectRef<int> put = ray::Put(6);
  const std::string id = put.ID();
  ray::ObjectRef<int> found = id;
  EXPECT_EQ(*found.Get(), 6);
  ray::ObjectRef<int> none = std::string();
  EXPECT_EQ(none, ray::ObjectRef<int>());
  const auto actor = ray::Actor(Guarded::Create).SetName("guarded").Remote();
  ray::ActorHandle<Guarded, false> by_id = actor.ID();
  EXPECT_EQ(*by_id.Task(&Guarded::Length).Remote("four").Get(), 4U);
  EXPECT_EQ(by_id, actor);
  EXPECT_THROW(ray::ActorHandle<Guarded>(std::string("short")), RayException);
  EXPECT_EQ(ray::ActorHandle<Guarded>(std::string()).ID(), "");
}

TEST_F(NamesTest, AnActorIsFoundByNameAloneAndKilled) {
  const auto actor = ray::Actor(Guarded::Create).SetName("guarded").Remote();
  boost::optional<ray::ActorHandleXlang> found = ray::GetActor("guarded");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->ID(), actor.ID());
  found->Kill();
  EXPECT_THROW(actor.Task(&Guarded::Length).Remote("x").Get(), ray::internal::RayActorException);
  EXPECT_FALSE(ray::GetActor("guarded"));
  EXPECT_FALSE(ray::GetActor(""));
  EXPECT_FALSE(ray::GetActor("guarded", "elsewhere"));
}

TEST_F(NamesTest, AHeaderWithRayRemoteMayBeIncludedByTwoFiles) {
  EXPECT_EQ(*ray::Task(twice_test::InBothFiles).Remote(1).Get(), 2);
  EXPECT_EQ(*twice_test::CallFromAnotherFile(2).Get(), 3);
  EXPECT_EQ(*ray::Actor(twice_test::InBoth::Create).Remote().Task(&twice_test::InBoth::Method).Remote().Get(), 5);
}

TEST_F(NamesTest, TheFunctionManagerRegistersUnderNamesOfTheProgram) {
  FunctionManager& manager = FunctionManager::Instance();
  if (manager.GetFunctionName(ByOwnName).empty()) {  // the first time in this process
    EXPECT_TRUE(manager.RegisterRemoteFunction("my name", ByOwnName));
  }
  EXPECT_EQ(manager.GetFunctionName(ByOwnName), "my name");
  EXPECT_EQ(*ray::Task(ByOwnName).Remote().Get(), 9);
  EXPECT_THROW(manager.RegisterRemoteFunction("my name", ByOwnName), RayException);
  EXPECT_THROW(manager.RegisterRemoteFunction("another name", ByOwnName), RayException);
  EXPECT_THROW(manager.RegisterRemoteFunction("my name", ByNoName), RayException);
  EXPECT_EQ(manager.GetFunctionName(ByNoName), "");
  EXPECT_EQ(manager.GetFunctionName(&Guarded::Length), "&Guarded::Length");
}

TEST(Names, TheFunctionManagerFindsTheClassInAName) {
  const auto class_of = [](const char* name) { return FunctionManager::GetClassNameByFuncName(name); };
  EXPECT_EQ(class_of("Counter::Create"), "Counter");
  EXPECT_EQ(class_of("a::b::Counter::Create"), "a::b::Counter");
  EXPECT_EQ(class_of("RAY_FUNC(Counter::Create)"), "Counter");
  EXPECT_EQ(class_of("RAY_FUNC(a::Counter::Create, std::string)"), "a::Counter");
  EXPECT_EQ(class_of("Create"), "");
  EXPECT_EQ(class_of("RAY_FUNC(Create, std::string)"), "");
  EXPECT_EQ(class_of(""), "");
}

TEST(Names, TheSerializerReadsWhatItWrote) {
  const msgpack::sbuffer number = Serializer::Serialize(5);
  EXPECT_EQ(Serializer::Deserialize<int>(number.data(), number.size()), 5);
  const msgpack::sbuffer raw = Serializer::Serialize("a\0b", size_t{3});
  EXPECT_EQ(Serializer::Deserialize<std::string>(raw.data(), raw.size()), std::string("a\0b", 3));
  // One value behind the other.
  msgpack::sbuffer both;
  both.write(number.data(), number.size());
  both.write(raw.data(), raw.size());
  size_t offset = 0;
  EXPECT_EQ(Serializer::Deserialize<int>(both.data(), both.size(), &offset), 5);
  EXPECT_EQ(offset, number.size());
  EXPECT_EQ(Serializer::Deserialize<std::string>(both.data(), both.size(), &offset), std::string("a\0b", 3));
  EXPECT_EQ(Serializer::Deserialize<std::string>(both.data(), both.size(), number.size()), std::string("a\0b", 3));
  EXPECT_THROW(Serializer::Deserialize<int>(both.data(), both.size(), both.size() + 1), RayException);
  EXPECT_THROW(Serializer::Deserialize<int>(both.data(), both.size(), &offset), RayException) << "at the end";
}

TEST(Names, TheSerializerTellsNilErrorsAndOtherLanguages) {
  msgpack::sbuffer nil = Serializer::Serialize(msgpack::type::nil_t());
  EXPECT_FALSE(Serializer::HasError(nil.data(), nil.size()));
  EXPECT_EQ(Serializer::DeserializeWhenNil<int>(nil.data(), nil.size()), (std::pair<bool, int>(false, 0)));
  msgpack::sbuffer error = Serializer::Serialize(msgpack::type::nil_t());
  const msgpack::sbuffer text = Serializer::Serialize(std::string("why"));
  error.write(text.data(), text.size());
  EXPECT_TRUE(Serializer::HasError(error.data(), error.size()));
  const msgpack::sbuffer number = Serializer::Serialize(5);
  EXPECT_EQ(Serializer::DeserializeWhenNil<int>(number.data(), number.size()), (std::pair<bool, int>(true, 5)));
  EXPECT_FALSE(Serializer::HasError(number.data(), number.size()));
  EXPECT_FALSE(Serializer::IsXLang(number.data(), number.size())) << "too short";
  const std::string header("\x05\0\0\0\0\0\0\0\0", ray::internal::XLANG_HEADER_LEN);
  EXPECT_TRUE(Serializer::IsXLang(header.data(), header.size()));
  const msgpack::sbuffer long_text = Serializer::Serialize(std::string("long enough"));
  EXPECT_FALSE(Serializer::IsXLang(long_text.data(), long_text.size()));
  EXPECT_FALSE(Serializer::IsXLang(nullptr, 0));
  EXPECT_FALSE(Serializer::HasError(nullptr, 0));
}

TEST(Names, TypesAreTold) {
  EXPECT_TRUE((ray::internal::is_object_ref_v<ray::ObjectRef<int>>));
  EXPECT_TRUE((ray::internal::is_object_ref_v<const ray::ObjectRef<void>&>));
  EXPECT_FALSE(ray::internal::is_object_ref_v<int>);
  EXPECT_TRUE((ray::internal::is_actor_handle_v<ray::ActorHandle<Guarded>&>));
  EXPECT_FALSE(ray::internal::is_actor_handle_v<ray::ObjectRef<int>>);
}

TEST(Names, LevelsOfTheLogAreAsked) {
  EXPECT_TRUE(ray::IsLevelEnabled(ray::RayLoggerLevel::INFO));
  EXPECT_TRUE(ray::IsLevelEnabled(ray::RayLoggerLevel::FATAL));
  EXPECT_FALSE(ray::IsLevelEnabled(static_cast<ray::RayLoggerLevel>(-1))) << "DEBUG, which programs have as a macro";
  std::cout << "";  // <iostream> came with <ray/api.h>
}

}  // namespace names_test
