#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <ray/api.h>

namespace runtime_env_test {

using ray::RuntimeEnv;
using ray::internal::RayRuntimeEnvException;
using Strings = std::map<std::string, std::string>;

struct Pip {
  std::vector<std::string> packages;
  bool check = false;
};
void to_json(nlohmann::json& json, const Pip& pip) { json = {{"packages", pip.packages}, {"check", pip.check}}; }
void from_json(const nlohmann::json& json, Pip& pip) {
  json.at("packages").get_to(pip.packages);
  json.at("check").get_to(pip.check);
}

TEST(RuntimeEnv, GivesBackWhatWasSet) {
  RuntimeEnv environment;
  EXPECT_TRUE(environment.Empty());
  environment.Set("working_dir", "/folder");
  environment.Set("env_vars", Strings{{"A", "b \"c\" \n"}, {"D", ""}});
  environment.Set("numbers", std::vector<int>{1, -2});
  environment.Set("large", uint64_t{18446744073709551615u});
  environment.Set("half", 0.5);
  environment.Set("flag", true);
  EXPECT_EQ(environment.Get<std::string>("working_dir"), "/folder");
  EXPECT_EQ(environment.Get<Strings>("env_vars"), (Strings{{"A", "b \"c\" \n"}, {"D", ""}}));
  EXPECT_EQ(environment.Get<std::vector<int>>("numbers"), (std::vector<int>{1, -2}));
  EXPECT_EQ(environment.Get<uint64_t>("large"), 18446744073709551615u);
  EXPECT_EQ(environment.Get<double>("half"), 0.5);
  EXPECT_TRUE(environment.Get<bool>("flag"));
  EXPECT_FALSE(environment.Empty());
}

TEST(RuntimeEnv, TakesTypesOfTheProgramByTheirJson) {
  RuntimeEnv environment;
  environment.Set("pip", Pip{{"requests"}, true});
  EXPECT_EQ(environment.GetJsonStr("pip"), R"({"check":true,"packages":["requests"]})");
  EXPECT_EQ(environment.Get<Pip>("pip").packages, std::vector<std::string>{"requests"});
}

TEST(RuntimeEnv, FieldsAreRemovedAndAskedFor) {
  RuntimeEnv environment;
  environment.SetJsonStr("a", R"({"b": [1, 2]})");
  EXPECT_EQ(environment.GetJsonStr("a"), R"({"b":[1,2]})");
  EXPECT_TRUE(environment.Contains("a"));
  EXPECT_TRUE(environment.Remove("a"));
  EXPECT_FALSE(environment.Remove("a"));
  EXPECT_FALSE(environment.Contains("a"));
}

TEST(RuntimeEnv, ComesBackFromItsText) {
  RuntimeEnv environment;
  EXPECT_EQ(environment.Serialize(), "");
  EXPECT_TRUE(RuntimeEnv::Deserialize("").Empty());
  environment.Set("working_dir", "/f");
  environment.Set("env_vars", Strings{{"A", "1"}});
  EXPECT_EQ(environment.Serialize(), R"({"env_vars":{"A":"1"},"working_dir":"/f"})");
  EXPECT_EQ(RuntimeEnv::Deserialize(environment.Serialize()).Get<Strings>("env_vars"), (Strings{{"A", "1"}}));
  const nlohmann::json info = nlohmann::json::parse(environment.SerializeToRuntimeEnvInfo());
  EXPECT_EQ(info.at("serializedRuntimeEnv"), environment.Serialize());
}

TEST(RuntimeEnv, SaysWhatIsWrong) {
  RuntimeEnv environment;
  environment.Set("a", 300);
  EXPECT_THROW(environment.Get<int>("b"), RayRuntimeEnvException);
  EXPECT_THROW(environment.Get<std::string>("a"), RayRuntimeEnvException);
  EXPECT_THROW(environment.Get<int8_t>("a"), RayRuntimeEnvException);
  EXPECT_THROW(environment.SetJsonStr("c", "{"), RayRuntimeEnvException);
  EXPECT_THROW(RuntimeEnv::Deserialize("[1]"), RayRuntimeEnvException);
  environment.Set("d", -1);
  EXPECT_THROW(environment.Get<unsigned>("d"), RayRuntimeEnvException);
}

}  // namespace runtime_env_test
