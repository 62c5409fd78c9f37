fn main() -> std::process::ExitCode { let mut a = std::env::args_os().skip(1); match a.next() { Some(w) if w == "shim" => process::shim_main(a), _ => std::process::ExitCode::FAILURE } }
