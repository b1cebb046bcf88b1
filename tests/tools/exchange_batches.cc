// A library that exchange_batches.py loads: takes record batches of pyarrow through the Arrow C data interface, and
// gives them back. Each function returns null, or why it failed.
#include <memory>
#include <string>

#include <ray/api.h>
#include <ray/arrow.h>

namespace {

ray::RecordBatch last;

template <class F>
const char* Try(const F& f) {
  static std::string why;
  try {
    f();
  } catch (const std::exception& e) {
    why = e.what();
    return why.c_str();
  }
  return nullptr;
}

}  // namespace

extern "C" {

const char* exchange_begin(const char* raylet) {
  return Try([raylet] {
    ray::RayConfig config;
    config.address = raylet;
    ray::Init(config);
  });
}

const char* exchange_end() {
  last = {};
  return Try([] { ray::Shutdown(); });
}

const char* exchange_put(ArrowSchema* schema, ArrowArray* array) {
  return Try([=] { last = *ray::Put(schema, array).Get(); });
}

const char* exchange_copy(const std::byte* stream, size_t size) {
  return Try([=] { last = ray::RecordBatch::CopyOfStream({stream, size}); });
}

// The batch that was put last, and where its memory is.
const char* exchange_get(ArrowSchema* schema, ArrowArray* array, const std::byte** begin, size_t* size) {
  return Try([=] {
    last.Export(schema, array);
    *begin = last.stream().data();
    *size = last.stream().size();
  });
}

}  // extern "C"
