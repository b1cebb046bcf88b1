// The config file of plasma_store: any bytes are settings, or refused with a line's number.
#include "store/config_file.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto settings = raylet::store::ParseConfig(text);
  if (!settings) {
    FUZZ_ASSERT(settings.error().code == raylet::ErrorCode::kInvalid);
    FUZZ_ASSERT(settings.error().message.starts_with("line ") || size > raylet::store::kConfigBytesMax);
    return 0;
  }
  size_t line = 0;
  for (const raylet::store::Setting& setting : *settings) {
    FUZZ_ASSERT(!setting.key.empty() && setting.line > line);
    FUZZ_ASSERT(setting.value.find('\n') == std::string::npos);
    line = setting.line;
  }
  return 0;
}
